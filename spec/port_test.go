// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestVLANs(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []int // nil: refused
		err  string
	}{
		{"10", []int{10}, ""},
		{"1,4094", []int{1, 4094}, ""},
		{"10,20,30-33", []int{10, 20, 30, 31, 32, 33}, ""},
		{"30-33, 20 ,10", []int{10, 20, 30, 31, 32, 33}, ""},
		{"7-7", []int{7}, ""},
		{"", nil, `"" is not a number from 1 to 4094`},
		{"10,", nil, `"" is not a number`},
		{"0", nil, `"0" is not a number from 1 to 4094`},
		{"4095", nil, `"4095" is not a number`},
		{"10-", nil, `"" is not a number`},
		{"-10", nil, `"" is not a number`},
		{"10-4095", nil, `"4095" is not a number`},
		{"10-20-30", nil, `"20-30" is not a number`},
		{"20-10", nil, `"20-10" ends before it begins`},
		{"10,20,10", nil, `VLAN 10 is listed twice`},
		{"10-20,15", nil, `VLAN 15 is listed twice`},
		{"all", nil, `"all" is not a number`},
	} {
		got, err := spec.ParseVLANs(tt.in)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%q: got %v, %v", tt.in, got, err)
		}
	}
	if got, err := spec.ParseVLANs("1-4094"); err != nil || len(got) != 4094 {
		t.Errorf("all of them: got %d, %v", len(got), err)
	}
}

// TestCheckPort asks the four kinds of networks for each thing: with a controller
// or without, whoever writes Faucet's configuration.
func TestCheckPort(t *testing.T) {
	const none, off = "the network has no controller that would apply it", "faucet.mode is off, so that faucet.yaml is yours: say it there, or set faucet.mode to file or rpc"
	for _, tt := range []struct {
		name                           string
		e                              spec.Endpoint
		off, managed, alone, aloneOurs string // "": granted
	}{
		{"nothing", spec.Endpoint{}, "", "", "", ""},
		{"ACL", spec.Endpoint{ACL: "a"}, "label dovesnap.faucet.portacl: " + off, "",
			"label dovesnap.faucet.portacl: " + none, "label dovesnap.faucet.portacl: " + none},
		{"ACL of this network", spec.Endpoint{ACL: "lab:a"}, "label dovesnap.faucet.portacl: " + off, "",
			"label dovesnap.faucet.portacl: " + none, "label dovesnap.faucet.portacl: " + none},
		{"ACL of another network", spec.Endpoint{ACL: "home:a"}, "", "", "", ""},
		{"VLAN", spec.Endpoint{VLAN: 20}, "driver-opt ovs.port.vlan: " + off, "", "", ""},
		{"trunk", spec.Endpoint{Trunks: []int{20}}, "driver-opt ovs.port.trunks: " + off, "", "", ""},
		{"VLAN and trunk", spec.Endpoint{VLAN: 20, Trunks: []int{30}}, "driver-opt ovs.port.vlan: " + off + "; driver-opt ovs.port.trunks: " + off, "", "", ""},
		{"its own VLAN tagged", spec.Endpoint{VLAN: 20, Trunks: []int{20, 30}}, "driver-opt ovs.port.trunks: VLAN 20 is untagged on this port",
			"driver-opt ovs.port.trunks: VLAN 20 is untagged on this port", "driver-opt ovs.port.trunks: VLAN 20 is untagged on this port", "driver-opt ovs.port.trunks: VLAN 20 is untagged on this port"},
		{"the network's VLAN tagged", spec.Endpoint{Trunks: []int{100}}, "driver-opt ovs.port.trunks: VLAN 100 is untagged on this port", "driver-opt ovs.port.trunks: VLAN 100 is untagged on this port", "", ""},
		{"the network's VLAN tagged beside its own", spec.Endpoint{VLAN: 20, Trunks: []int{100}}, off, "", "", ""},
		{"OF port, rates, MAC prefix", spec.Endpoint{OFPort: 7, RateIn: 1e6, RateOut: 1e6, MACPrefix: "0e"}, "", "", "", ""},
	} {
		for _, kind := range []struct {
			controllers []spec.Controller
			managed     bool
			want        string
		}{
			{[]spec.Controller{"tcp:192.0.2.1"}, false, tt.off}, {[]spec.Controller{"tcp:192.0.2.1"}, true, tt.managed}, {nil, false, tt.alone}, {nil, true, tt.aloneOurs},
		} {
			n := spec.Network{Name: "lab", VLAN: 100, Controllers: kind.controllers}
			err := spec.CheckPort(n, tt.e, kind.managed)
			if (err == nil) != (kind.want == "") || (err != nil && !strings.Contains(err.Error(), kind.want)) {
				t.Errorf("%s, controllers %v, managed %t: got %v, want %q", tt.name, kind.controllers, kind.managed, err, kind.want)
			}
		}
	}
	// At `docker run`, it is a driver-opt.
	err := spec.CheckPort(spec.Network{Name: "lab", VLAN: 100}, spec.Endpoint{ID: endpointID, ACL: "a"}, true)
	if err == nil || err.Error() != "driver-opt dovesnap.faucet.portacl: "+none {
		t.Error(err)
	}
	// Until its name is known, any network may be the one that is meant.
	if err := spec.CheckPort(spec.Network{}, spec.Endpoint{ACL: "home:a"}, true); err == nil {
		t.Error("an ACL was accepted on a network without a name")
	}
}

func TestPortVLAN(t *testing.T) {
	n := spec.Network{VLAN: 100}
	if got := n.PortVLAN(spec.Endpoint{}); got != 100 {
		t.Errorf("got %d", got)
	}
	if got := n.PortVLAN(spec.Endpoint{VLAN: 20}); got != 20 {
		t.Errorf("got %d", got)
	}
}
