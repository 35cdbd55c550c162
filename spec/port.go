// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strings"
)

// ParseVLAN reads 1 to 4094.
func ParseVLAN(s string) (int, error) { return between(s, 1, 4094) }

// ParseVLANs reads VLANs and ranges of them, "10,20,30-39", into a sorted list
// without duplicates.
func ParseVLANs(s string) ([]int, error) {
	var out []int
	for _, item := range strings.Split(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(item), "-")
		first, err := ParseVLAN(low)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = ParseVLAN(high); err != nil {
				return nil, err
			}
		}
		if last < first {
			return nil, fmt.Errorf("%q ends before it begins", item)
		}
		for v := first; v <= last; v++ {
			if slices.Contains(out, v) {
				return nil, fmt.Errorf("VLAN %d is listed twice", v)
			}
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// CheckPort refuses what an endpoint asks of a network that cannot give it.
// managed reports that dovesnap writes Faucet's configuration. An endpoint without an
// ID is what a container's labels ask for: an ACL that is for other networks alone
// asks nothing of this one, once its name is known. A driver-opt is for one network.
func CheckPort(n Network, e Endpoint, managed bool) error {
	var errs []error
	alone := len(n.Controllers) == 0
	kind := driverOpt
	if e.ID == "" {
		kind = label
	}
	acl := e.ACL != "" && (n.Name == "" || e.ACL.For(n.Name) != nil)
	switch {
	case kind == driverOpt && e.ACL != "" && n.Name != "" && !e.ACL.Speaks(n.Name):
		errs = append(errs, fmt.Errorf("%s %s: no part of %q is for network %q; leave the network's name out", kind, aclKey, e.ACL, n.Name))
	case acl && alone:
		errs = append(errs, fmt.Errorf("%s %s: %s", kind, aclKey, noController))
	case acl && !managed:
		errs = append(errs, fmt.Errorf("%s %s: %s", kind, aclKey, offReason))
	}
	if e.VLAN != 0 && !alone && !managed {
		errs = append(errs, fmt.Errorf("driver-opt %s: %s", vlanKey, offReason))
	}
	if e.Trunks != nil && !alone && !managed {
		errs = append(errs, fmt.Errorf("driver-opt %s: %s", trunksKey, offReason))
	}
	untagged := e.VLAN
	if !alone {
		untagged = n.PortVLAN(e) // a plain switch knows no VLAN of the network
	}
	if slices.Contains(e.Trunks, untagged) {
		errs = append(errs, fmt.Errorf("driver-opt %s: VLAN %d is untagged on this port", trunksKey, untagged))
	}
	return oneLine(errs)
}

// PortVLAN returns the VLAN of the frames that an endpoint sends without a tag.
func (n Network) PortVLAN(e Endpoint) int {
	if e.VLAN != 0 {
		return e.VLAN
	}
	return n.VLAN
}

// ForeignPort is a port that somebody else put on a bridge of ours.
type ForeignPort struct {
	Name   string
	OFPort OFPort
}
