// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

// plain is a network without controllers, whose VLAN is 100.
func plain(n int) spec.Network {
	net := network(n)
	net.Controllers, net.VLAN = nil, 100
	return net
}

func TestEndpointVLANs(t *testing.T) {
	managed := plain(1)
	managed.Controllers = network(1).Controllers
	for name, test := range map[string]struct {
		n    spec.Network
		e    spec.Endpoint
		want vlans
	}{
		"nothing asked":           {plain(1), spec.Endpoint{}, vlans{mode: "access"}},
		"the network's own":       {plain(1), spec.Endpoint{VLAN: 100}, vlans{mode: "access"}},
		"another":                 {plain(1), spec.Endpoint{VLAN: 20}, vlans{mode: "access", tag: 20}},
		"trunks":                  {plain(1), spec.Endpoint{Trunks: []int{20, 30}}, vlans{mode: "trunk", trunks: []int{0, 20, 30}}},
		"trunks and the own VLAN": {plain(1), spec.Endpoint{VLAN: 100, Trunks: []int{20}}, vlans{mode: "trunk", trunks: []int{0, 20}}},
		"trunks and another VLAN": {plain(1), spec.Endpoint{VLAN: 20, Trunks: []int{30}}, vlans{mode: "native-untagged", tag: 20, trunks: []int{30}}},
		"controllers":             {managed, spec.Endpoint{VLAN: 20, Trunks: []int{30}}, vlans{}},
	} {
		if got := endpointVLANs(test.n, test.e); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	for vlan, want := range map[int]vlans{0: {}, 100: {mode: "access"}, 20: {mode: "access", tag: 20}} {
		if got := uplinkVLANs(plain(1), spec.Uplink{VLAN: vlan}); !reflect.DeepEqual(got, want) {
			t.Errorf("uplink of VLAN %d: %+v, want %+v", vlan, got, want)
		}
	}
	if got := uplinkVLANs(managed, spec.Uplink{VLAN: 20}); !reflect.DeepEqual(got, vlans{}) {
		t.Errorf("uplink beside controllers: %+v", got)
	}
}

// vlanText is what a port's columns say.
func (d *daemons) vlanText(port string) string {
	d.t.Helper()
	return strings.Join(strings.Fields(d.vsctl("get", "Port", port, "vlan_mode", "tag", "trunks")), " ")
}

// The columns are those of the spec, twice the same, come back when somebody
// changed them, and go when they are no longer wanted.
func TestVLANColumns(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), plain(1)
	n.Uplinks = []spec.Uplink{{Name: "nic0", VLAN: 20}, {Name: "nic1"}}
	e := endpoint(1, 1)
	e.VLAN, e.Trunks = 20, []int{30, 31}
	name := spec.HostLink(e.ID)
	ensure := func() {
		t.Helper()
		if err := s.EnsureBridge(ctx, n, true); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EnsurePort(ctx, n, e); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		for port, columns := range want {
			if got := d.vlanText(port); got != columns {
				t.Errorf("%s: %s has %s, want %s", when, port, got, columns)
			}
		}
	}
	want := map[string]string{name: "native-untagged 20 [30, 31]", "nic0": "access 20 []", "nic1": "[] [] []"}
	ensure()
	check("made", want)
	before := d.vsctl("get", "Open_vSwitch", ".", "next_cfg")
	ensure()
	if after := d.vsctl("get", "Open_vSwitch", ".", "next_cfg"); after != before {
		t.Errorf("the second time changed something")
	}
	for port := range want {
		d.vsctl("set", "Port", port, "tag=7", "vlan_mode=native-tagged", "trunks=[8,9]")
	}
	ensure()
	check("changed by somebody", want)
	e.VLAN, e.Trunks = 0, nil
	ensure()
	check("no longer wanted", map[string]string{name: "access [] []"})
	n.Controllers, e.VLAN, e.Trunks = network(1).Controllers, 20, []int{30}
	ensure()
	check("with controllers", map[string]string{name: "[] [] []", "nic0": "[] [] []"})
}

// A port of somebody else under an uplink's name is left as it is.
func TestForeignUplinkKeepsItsVLAN(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), plain(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	d.vsctl("add-port", n.Bridge, "nic0", "tag=7")
	n.Uplinks = []spec.Uplink{{Name: "nic0", VLAN: 20}}
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	if got := d.vlanText("nic0"); got != "[] 7 []" {
		t.Errorf("it has %s", got)
	}
}

func TestTrunkOfTheNetworksVLAN(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), plain(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	e := endpoint(1, 1)
	e.VLAN, e.Trunks = 20, []int{30, 100}
	if _, err := s.EnsurePort(ctx, n, e); err == nil || !strings.Contains(err.Error(), "driver-opt ovs.port.trunks: VLAN 100 is the network's own") {
		t.Errorf("got %v", err)
	}
}
