// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Labels are what a container's labels say of its endpoints.
type Labels struct {
	ACL       Expr
	MACPrefix MACPrefix
	// Unclear reports that they may ask for an ACL that cannot be told: one that
	// does not parse, or a key that looks like a slip of the pen for that one.
	// Nothing may pass then.
	Unclear bool
}

const (
	dovesnapPrefix = "dovesnap."
	namespaceLabel = dovesnapPrefix + "namespace" // of the old program's own containers
)

// ParseLabels reads the labels of a container; those of others are passed over,
// and one without a value counts as not there. What is wrong with them is one
// error, and the rest of them counts all the same.
func ParseLabels(labels map[string]string) (Labels, error) {
	var e Endpoint
	var errs []error
	unclear := false
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := strings.TrimSpace(labels[key])
		if !ours(key) || key == namespaceLabel || (value == "" && slices.Contains(keyNames(label), key)) {
			continue
		}
		if err := e.setKey(label, key, value); err != nil {
			errs = append(errs, err)
			unclear = unclear || meant(key, keyNames(driverOpt)) == aclKey
		}
	}
	return Labels{ACL: e.ACL, MACPrefix: e.MACPrefix, Unclear: unclear}, oneLine(errs)
}

// ours reports whether a label's key is one of ours, or was probably meant to be.
func ours(key string) bool {
	key = strings.ToLower(key)
	return strings.HasPrefix(key, dovesnapPrefix) || strings.HasPrefix(key, portPrefix) || strings.HasPrefix(key, "ovs.bridge.") || strings.Contains(key, "faucet.portacl")
}

// keyNames returns the keys that can be given in that way.
func keyNames(kind string) (names []string) {
	for _, k := range PortKeys {
		if kind == driverOpt || k.Label {
			names = append(names, k.Name)
		}
	}
	return names
}

// setKey gives an endpoint the value of a label or driver-opt.
func (e *Endpoint) setKey(kind, name, value string) error {
	for _, k := range PortKeys {
		switch {
		case k.Name != name:
			continue
		case kind == label && !k.Label:
			return fmt.Errorf("label %s: it is a driver-opt: --network name=NETWORK,driver-opt=%s=VALUE", name, name)
		case k.Later:
			return fmt.Errorf("%s %s is not available yet", kind, name)
		}
		if err := k.set(e, value); err != nil {
			return fmt.Errorf("%s %s: %w", kind, name, err)
		}
		return nil
	}
	near := Near(name, keyNames(kind))
	if meant(name, keyNames(driverOpt)) == aclKey {
		near = aclKey // however far: nothing passes for its sake
	}
	return fmt.Errorf("unknown %s %s%s", kind, name, DidYouMean(near))
}

// meant returns the key that the user probably meant. What speaks of an ACL is
// about that, whatever is around it: "ovs.port.acl" is but three letters from
// ovs.port.vlan.
func meant(name string, keys []string) string {
	if strings.Contains(strings.ToLower(name), "acl") {
		return aclKey
	}
	return Nearest(name, keys)
}
