// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// vlans is what the columns of a Port say of VLANs (ovs-vswitchd.conf.db(5),
// "VLAN Configuration"). They matter to a switch that learns by itself; where
// there is a controller, VLANs are the controller's, and the columns stay empty.
type vlans struct {
	mode   string // empty: as Open vSwitch pleases, which passes every tag
	tag    int    // of frames without one; 0: none, they are in VLAN 0
	trunks []int
}

// endpointVLANs lets an endpoint take part in its own VLAN, and in those of its
// trunks with a tag, and in no other: a frame that a container tags by itself
// must not get it into the VLAN of somebody else.
func endpointVLANs(n spec.Network, e spec.Endpoint) vlans {
	if len(n.Controllers) > 0 {
		return vlans{}
	}
	v := vlans{mode: "access", tag: plainTag(n, n.PortVLAN(e)), trunks: e.Trunks}
	switch {
	case len(e.Trunks) == 0:
	case v.tag == 0: // a native VLAN of 0 cannot be told from none
		v.mode, v.trunks = "trunk", append([]int{0}, e.Trunks...)
	default:
		v.mode = "native-untagged"
	}
	return v
}

// uplinkVLANs leaves an uplink without a VLAN of its own open to every tag: what
// is behind it is the user's to arrange.
func uplinkVLANs(n spec.Network, u spec.Uplink) vlans {
	if len(n.Controllers) > 0 || u.VLAN == 0 {
		return vlans{}
	}
	return vlans{mode: "access", tag: plainTag(n, u.VLAN)}
}

// plainTag returns what stands for a VLAN in a switch without controller: in it
// the network's own VLAN has no number, so that its frames leave by uplinks as
// they are.
func plainTag(n spec.Network, vlan int) int {
	if vlan == n.VLAN {
		return 0
	}
	return vlan
}

// checkTrunks refuses a tag for the VLAN that has none.
func checkTrunks(n spec.Network, e spec.Endpoint) error {
	if len(n.Controllers) == 0 && slices.Contains(e.Trunks, n.VLAN) {
		return fmt.Errorf("driver-opt ovs.port.trunks: VLAN %d is the network's own, which a switch without controller carries untagged", n.VLAN)
	}
	return nil
}

// columns is what to insert.
func (v vlans) columns(r ovsdb.Row) ovsdb.Row {
	if v.mode != "" {
		r["vlan_mode"] = v.mode
	}
	if v.tag != 0 {
		r["tag"] = v.tag
	}
	if len(v.trunks) > 0 {
		r["trunks"] = integers(v.trunks...)
	}
	return r
}

// withVLANs adds to columns of a Port those that repair reads.
func withVLANs(columns ...string) []string { return append(columns, "vlan_mode", "tag", "trunks") }

// repair puts into change what differs in a Port.
func (v vlans) repair(change ovsdb.Row, port row) {
	if port.text("vlan_mode") != v.mode {
		change["vlan_mode"] = optional(v.mode)
	}
	if tag, given := port.number("tag"); tag != v.tag || given && v.tag == 0 {
		change["tag"] = optional(v.tag)
	}
	if have := port.numbers("trunks"); !slices.Equal(have, v.trunks) {
		change["trunks"] = integers(v.trunks...)
	}
}
