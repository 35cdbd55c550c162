// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"

	"dovesnap/spec"
)

// Wanted is what Faucet should know.
type Wanted struct {
	State   spec.State
	Foreign map[spec.NetworkID][]spec.ForeignPort
	// Owner marks the datapaths as ours where others write beside us.
	Owner string
}

// Render returns the configuration of the networks that have a controller and a
// name, but for those that clash with what the operator has. The Memory must
// cover the State.
func Render(w Wanted, m Memory, o Others) Config {
	c := Config{ACLs: ownACLs(), VLANs: map[int]VLAN{}, DPs: map[string]DP{}}
	for _, n := range w.State.SortedNetworks() {
		if !managed(n) || o.refuse(n, c) != nil {
			continue
		}
		dp := w.renderDP(n, m[n.DPID], o)
		if len(dp.Interfaces)+len(dp.Ranges) == 0 {
			continue // Faucet refuses a datapath without ports
		}
		c.DPs[n.Name] = dp
		if out := n.VLANOutACL.For(n.Name); out != nil {
			c.VLANs[n.VLAN] = VLAN{ACLsOut: o.acls(out)}
		}
	}
	return c
}

// managed reports whether Faucet is to know of a network; its name comes after it.
func managed(n spec.Network) bool { return len(n.Controllers) > 0 && n.Name != "" }

func (w Wanted) renderDP(n spec.Network, kept Ports, o Others) DP {
	dp := DP{
		ID: DPID(n.DPID), Hardware: "Open vSwitch", Description: mark(w.Owner) + n.Bridge,
		Egress: n.VLANOutACL.For(n.Name) != nil, Interfaces: map[spec.OFPort]Interface{},
	}
	free := Interface{VLAN: VID(n.VLAN), ACLs: o.acls(n.DefaultACL.For(n.Name))}
	if kept.Last > 0 {
		dp.Ranges = map[string]Interface{rangeKey(kept.Last): free}
	}
	free.Description = "free port"
	for _, p := range kept.Single {
		dp.Interfaces[p] = free
	}
	for _, f := range w.Foreign[n.ID] {
		dp.Interfaces[f.OFPort] = Interface{Description: physical + f.Name, VLAN: VID(n.VLAN), ACLs: o.acls(nil)}
	}
	if n.Routed() {
		reconf := false // OVS doesn't always tell of this port's state
		dp.Interfaces[LocalPort] = Interface{Description: "gateway", VLAN: VID(n.VLAN), ACLs: o.acls(n.NATACL.For(n.Name)), Reconf: &reconf}
	}
	for _, u := range n.Uplinks {
		dp.Interfaces[u.OFPort] = uplink(n, u, o)
	}
	for _, e := range w.State.EndpointsOf(n.ID) {
		i := endpoint(n, e, o)
		if int(e.OFPort) > kept.Last || i.policy(nil) != free.policy(nil) {
			dp.Interfaces[e.OFPort] = i
		}
	}
	return dp
}

// mark begins the description of a datapath of ours, before the bridge's name.
func mark(owner string) string {
	if owner != "" {
		owner = " " + owner
	}
	return "dovesnap" + owner + ": bridge "
}

// physical begins the description of a port that comes and goes with its link.
const physical = "Physical interface "

func uplink(n spec.Network, u spec.Uplink, o Others) Interface {
	i := Interface{Description: physical + u.Name}
	if u.Coprocessor {
		i.Coprocessor = &Coprocessor{Strategy: "vlan_vid"}
		return i
	}
	i.VLAN, i.ACLs = VID(n.VLAN), o.acls(u.ACL.For(n.Name))
	if u.VLAN != 0 {
		i.VLAN = VID(u.VLAN)
	}
	return i
}

// endpoint returns the interface that an endpoint wants.
func endpoint(n spec.Network, e spec.Endpoint, o Others) Interface {
	return Interface{
		Description: fmt.Sprintf("endpoint %s %s", e.ID.Short(), e.MAC),
		VLAN:        VID(n.PortVLAN(e)), Trunks: e.Trunks, ACLs: o.acls(e.ACLs(n)),
	}
}
