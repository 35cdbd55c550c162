// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"maps"
	"slices"

	"dovesnap/spec"
)

// Faucet 1.10 dies, by an assertion, when a datapath has one ACL both on a VLAN and
// on a port: dp.py resolves ACLs for VLANs and then for ports, each time forgetting
// what the ACL matched before, so that the VLAN's table lacks vlan_vid. Its own
// check does not notice. And every datapath has all VLANs of the configuration, with
// a port on them or not (config_parser.py makes all of them for each, and
// DP.reset_refs drops the idle ones of a stack's leaves only). So an ACL is on
// either; whoever wants both defines it twice.

const onBoth = "Faucet 1.10 fails when one ACL is on a VLAN and on a port: define it twice, by two names"

// onVLANs returns the ACLs that are on VLANs.
func (c Config) onVLANs(o Others) []ACL {
	var out []ACL
	for _, v := range c.VLANs {
		out = append(out, v.ACLsOut...)
	}
	for _, acls := range o.OnVLANs {
		out = append(out, acls...)
	}
	return out
}

func overlap(a, b []ACL) (ACL, bool) {
	for _, acl := range a {
		if slices.Contains(b, acl) {
			return acl, true
		}
	}
	return ACL{}, false
}

// once closes the ports whose ACL is on a VLAN.
func (c Config) once(o Others) {
	taken := c.onVLANs(o)
	for _, dp := range c.DPs {
		for number, i := range dp.Interfaces {
			dp.Interfaces[number] = i.closed(taken)
		}
		for key, i := range dp.Ranges {
			dp.Ranges[key] = i.closed(taken)
		}
	}
}

func (i Interface) closed(taken []ACL) Interface {
	if _, both := overlap(i.ACLs, taken); both {
		i.ACLs = []ACL{{Name: denyACL}}
	}
	return i
}

// wants returns the interface that an endpoint gets.
func (c Config) wants(n spec.Network, e spec.Endpoint, o Others) Interface {
	return endpoint(n, e, o).closed(c.onVLANs(o))
}

// both tells why ACLs cannot be on a port.
func (c Config) both(names []string, o Others) error {
	if acl, taken := overlap(o.acls(names), c.onVLANs(o)); taken {
		return fmt.Errorf("ACL %q is on a VLAN: %s", acl.Name, onBoth)
	}
	return nil
}

// admitOnce refuses a network whose vlan_out_acl is on a port, and one that puts an
// ACL on a port while a VLAN has it.
func (o Others) admitOnce(n spec.Network, beside spec.State) error {
	outs := map[string]string{}
	for _, vid := range slices.Sorted(maps.Keys(o.OnVLANs)) {
		for _, acl := range o.OnVLANs[vid] {
			outs[acl.Name] = fmt.Sprintf("VLAN %d already, by %s", vid, o.Where)
		}
	}
	for _, name := range allNames(n.VLANOutACL) {
		outs[name] = fmt.Sprintf("VLAN %d already, by its vlan_out_acl", n.VLAN)
	}
	ports := map[string]string{allowACL: "dovesnap's own", denyACL: "dovesnap's own"}
	for acl := range o.OnPorts {
		ports[acl] = o.Where
	}
	take := func(what string, exprs ...spec.Expr) {
		for _, e := range exprs {
			for _, name := range allNames(e) {
				ports[name] = what
			}
		}
	}
	for _, b := range beside.SortedNetworks() {
		if b.ID == n.ID {
			continue
		}
		for _, name := range allNames(b.VLANOutACL) {
			outs[name] = fmt.Sprintf("VLAN %d already, by the vlan_out_acl of network %q", b.VLAN, b.Name)
		}
		take(fmt.Sprintf("network %q", b.Name), exprs(b)...)
		for _, e := range beside.EndpointsOf(b.ID) {
			take(fmt.Sprintf("a container on network %q", b.Name), e.ACL)
		}
	}
	for _, e := range exprs(n) {
		for _, name := range allNames(e) {
			if where, taken := outs[name]; taken {
				return fmt.Errorf("ACL %q is on %s: %s", name, where, onBoth)
			}
		}
	}
	for _, name := range allNames(n.VLANOutACL) {
		if where, taken := ports[name]; taken {
			return fmt.Errorf("option ovs.bridge.vlan_out_acl: ACL %q is on a port, by %s: %s", name, where, onBoth)
		}
	}
	return nil
}

// exprs returns what a network puts on its ports.
func exprs(n spec.Network) []spec.Expr {
	out := []spec.Expr{n.DefaultACL, n.NATACL}
	for _, u := range n.Uplinks {
		out = append(out, u.ACL)
	}
	return out
}
