// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"slices"

	"dovesnap/spec"
)

// Faucet 1.10 dies, by an assertion, when a datapath has one ACL both on a VLAN and
// on a port: dp.py resolves ACLs for VLANs and then for ports, each time forgetting
// what the ACL matched before, so that the VLAN's table lacks vlan_vid. Its own
// check does not notice. So an ACL is on either; whoever wants both defines it
// twice.

const onBoth = "Faucet 1.10 fails when a datapath has one ACL on a VLAN and on a port: define it twice, by two names"

// onVLANs returns the ACLs that are on the VLANs of a datapath.
func (c Config) onVLANs(dp DP, o Others) []ACL {
	var out []ACL
	add := func(i Interface) {
		for _, vid := range append([]int{int(i.VLAN)}, i.Trunks...) {
			out = append(append(out, c.VLANs[vid].ACLsOut...), o.OnVLANs[vid]...)
		}
	}
	for _, i := range dp.Interfaces {
		add(i)
	}
	for _, i := range dp.Ranges {
		add(i)
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

// once closes the ports whose ACL is on one of their datapath's VLANs.
func (c Config) once(o Others) {
	for _, dp := range c.DPs {
		taken := c.onVLANs(dp, o)
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
	return endpoint(n, e, o).closed(c.onVLANs(c.DPs[n.Name], o))
}

// both tells why ACLs cannot be on a port of a network.
func (c Config) both(n spec.Network, names []string, o Others) error {
	if acl, taken := overlap(o.acls(names), c.onVLANs(c.DPs[n.Name], o)); taken {
		return fmt.Errorf("ACL %q is on a VLAN: %s", acl.Name, onBoth)
	}
	return nil
}

// admitOnce refuses a network whose vlan_out_acl is on a port that may be of its
// VLAN, and one that puts an ACL on a port whose VLAN has it.
func (o Others) admitOnce(n spec.Network, beside spec.State) error {
	outs := map[string]string{}
	for _, name := range allNames(n.VLANOutACL) {
		outs[name] = "its vlan_out_acl"
	}
	for _, acl := range o.OnVLANs[n.VLAN] {
		outs[acl.Name] = o.Where
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
		if b.VLAN != n.VLAN || b.ID == n.ID {
			continue
		}
		for _, name := range allNames(b.VLANOutACL) {
			outs[name] = fmt.Sprintf("the vlan_out_acl of network %q", b.Name)
		}
		take(fmt.Sprintf("network %q", b.Name), exprs(b)...)
		for _, e := range beside.EndpointsOf(b.ID) {
			take(fmt.Sprintf("a container on network %q", b.Name), e.ACL)
		}
	}
	for _, e := range exprs(n) {
		for _, name := range allNames(e) {
			if where, taken := outs[name]; taken {
				return fmt.Errorf("ACL %q is on VLAN %d already, by %s: %s", name, n.VLAN, where, onBoth)
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
