// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net"
	"net/netip"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

func TestCheckUplinks(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	must(t, netlink.LinkSetUp(byName(t, "lo")))
	addBridge(t, "bridge0")
	addVeth(t, "free", "freepeer")
	addVeth(t, "enslaved", "enslavedpeer")
	must(t, netlink.LinkSetMaster(byName(t, "enslaved"), byName(t, "bridge0")))
	addVeth(t, "addressed", "addressedpeer")
	addAddress(t, "addressed", "192.0.2.5/24")
	addVeth(t, "addressed6", "addressed6peer")
	addAddress(t, "addressed6", "2001:db8::5/64")
	_, everything, err := net.ParseCIDR("0.0.0.0/0")
	must(t, err)
	for name, table := range map[string]int{"gateway": 254, "policy": 100} {
		addVeth(t, name, name+"peer")
		must(t, netlink.LinkSetUp(byName(t, name)))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: byName(t, name).Attrs().Index, Dst: everything, Scope: netlink.SCOPE_LINK, Table: table}))
	}
	must(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, endpoint("0123456789ab"), false))

	for name, why := range map[string]string{
		"absent":          "there is no such interface",
		"lo":              "loopback",
		"bridge0":         "it is a bridge itself",
		"enslaved":        "it is a port of bridge0 already",
		"addressed":       "it carries the host's address 192.0.2.5/24",
		"addressed6":      "it carries the host's address 2001:db8::5/64",
		"gateway":         "it carries the host's default route",
		"policy":          "it carries the host's default route",
		"dsv0123456789ab": "made by dovesnap",
		"dsc0123456789ab": "made by dovesnap",
	} {
		wantError(t, l.CheckNetwork(ctx, with(name)), `cannot add port "`+name+`": `, why)
	}

	must(t, l.CheckNetwork(ctx, with("free")))
	addBridge(t, "br9")
	must(t, ensure(l, ctx, with("free", "absent")))
	if byName(t, "free").Attrs().Flags&net.FlagUp == 0 {
		t.Error("not up")
	}
	must(t, checkUplink(ctx, "free", false)) // now has an IPv6 link-local address
}

// An uplink is the switch's alone for as long as it is one.
func TestUplinkARP(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	addBridge(t, "br9")
	addVeth(t, "eth7", "eth7peer")
	addVeth(t, "eth8", "eth8peer")
	before := look(byName(t, "eth7"))
	must(t, ensure(l, ctx, with("eth7", "absent", "eth8")))
	lent := lookAll(t)
	for name, arp := range map[string]bool{"eth7": false, "eth8": false, "eth7peer": true, "br9": true} {
		if got := look(byName(t, name)).ARP; got != arp {
			t.Errorf("%s: ARP %v, want %v", name, got, arp)
		}
	}
	must(t, netlink.LinkSetARPOn(byName(t, "eth7")))
	must(t, ensure(l, ctx, with("eth7", "absent", "eth8")))
	if diff := cmp.Diff(lent, lookAll(t)); diff != "" {
		t.Error("not repaired:", diff)
	}
	before.Up = true
	for range 2 {
		must(t, l.ReleaseNetwork(ctx, with("absent", "eth7")))
		if diff := cmp.Diff(before, look(byName(t, "eth7"))); diff != "" {
			t.Error("not released:", diff)
		}
	}
	if look(byName(t, "eth8")).ARP {
		t.Error("released another network's uplink")
	}
}

func with(uplinks ...string) spec.Network {
	n := spec.Network{Bridge: "br9", Mode: spec.Flat}
	for _, u := range uplinks {
		n.Uplinks = append(n.Uplinks, spec.Uplink{Name: u})
	}
	return n
}

// What this kernel may not be able to make.
func TestRefuse(t *testing.T) {
	internal := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: "ovsbr0"}, LinkType: "openvswitch"}
	wantError(t, refuse(internal, "ovs-system", nil, false), "it is a bridge itself")
	nic := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "eth1"}}
	wantError(t, refuse(nic, "ovs-system", nil, false), "port of an Open vSwitch bridge")
	wantError(t, refuse(nic, "bond0", nil, false), "port of bond0 already")
	must(t, refuse(nic, "", []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}, false))
}

func TestDefaultRouteOfMultipath(t *testing.T) {
	r := netlink.Route{MultiPath: []*netlink.NexthopInfo{{LinkIndex: 3}, {LinkIndex: 4}}}
	if !isDefault(r) || !leavesBy(r, 4) || leavesBy(r, 5) {
		t.Error("a default route over several interfaces is not recognised")
	}
}

func TestCheckName(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	addVeth(t, "taken", "takenpeer")
	must(t, netlink.LinkAddAltName(byName(t, "takenpeer"), "alsotaken"))
	must(t, l.CheckNetwork(ctx, spec.Network{Bridge: "dsb0123456789ab"}))
	for _, name := range []string{"taken", "alsotaken"} {
		wantError(t, l.CheckNetwork(ctx, spec.Network{Bridge: name}), `cannot make bridge "`+name+`"`, "an interface of that name already (type veth)")
	}
	n := with("absent", "lo")
	n.Bridge = "taken"
	wantError(t, l.CheckNetwork(ctx, n), `make bridge "taken"`, `add port "absent"`, `add port "lo"`)
}

// vswitchd puts back the flags that it remembers when it lets go of a port: ARP
// is switched on after that, which shows by the port no longer being promiscuous.
func TestReleaseWaitsForTheSwitch(t *testing.T) {
	newNetns(t)
	addBridge(t, "eth7")
	eth7 := byName(t, "eth7")
	must(t, netlink.SetPromiscOn(eth7))
	must(t, netlink.LinkSetARPOff(eth7))
	n := spec.Network{Uplinks: []spec.Uplink{{Name: "eth7"}}}
	done := elsewhere(t, func() error { return newLinks().ReleaseNetwork(deadline(t), n) })
	must(t, netlink.LinkSetARPOff(eth7)) // as vswitchd does
	must(t, netlink.SetPromiscOff(eth7))
	must(t, <-done)
	if !answersARP(byName(t, "eth7")) {
		t.Error("ARP is off")
	}
}
