// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Keys of container labels, which are endpoint driver-opts too. A driver-opt
// arrives with the endpoint and wins; a label is read from Docker afterwards.
const (
	labelPrefix   = "dovesnap.faucet."
	aclKey        = labelPrefix + "portacl"
	macPrefixKey  = labelPrefix + "mac_prefix"
	mirrorKey     = labelPrefix + "mirror"
	vlanKey       = "ovs.port.vlan"
	ofportKey     = "ovs.port.ofport"
	trunksKey     = "ovs.port.trunks"
	rateInKey     = "ovs.port.rate_in"
	rateOutKey    = "ovs.port.rate_out"
	portKeyPrefix = "ovs."
)

var labelKeys = []string{aclKey, macPrefixKey, mirrorKey}

// Labels are what a container's labels say of its endpoints.
type Labels struct {
	ACL       Expr
	MACPrefix MACPrefix
}

// ParseLabels reads the labels of a container; those of others are passed over.
// What is wrong with them is one error, and the rest of them counts all the same.
func ParseLabels(labels map[string]string) (Labels, error) {
	var out Labels
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := strings.TrimSpace(labels[key])
		var err error
		switch {
		case !strings.HasPrefix(key, labelPrefix):
		case key == aclKey && value == "": // as if it were not there
		case key == aclKey:
			out.ACL, err = ParseExpr(value)
		case key == macPrefixKey:
			out.MACPrefix, err = ParseMACPrefix(value)
		case key == mirrorKey:
			err = errors.New("mirroring is not available yet")
		default:
			err = fmt.Errorf("it is unknown; did you mean %s?", Nearest(key, labelKeys))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("label %s: %w", key, err))
		}
	}
	return out, oneLine(errs)
}
