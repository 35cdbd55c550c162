// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"
)

// one is a nat network with an uplink; the cases below put another beside it.
func one() spec.Network {
	return spec.Network{
		ID: "1", Bridge: "br1", Mode: spec.NAT, DPID: 1,
		Uplinks: []spec.Uplink{{Name: "eth1", OFPort: 1}},
		Subnets: []spec.Subnet{subnet("10.1.0.0/16", "10.1.0.1/16")},
	}
}

func TestAdmit(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    spec.Network
		want []string // none: admitted
	}{
		{"nothing shared", spec.Network{ID: "2", Bridge: "br2", Mode: spec.NAT, DPID: 2, Subnets: []spec.Subnet{subnet("10.2.0.0/16", "10.2.0.1/16")}}, nil},
		{"itself again", one(), nil},
		{"datapath id", spec.Network{ID: "2", Bridge: "br2", DPID: 1}, []string{`option ovs.bridge.dpid: 0x1 is the datapath id of network "first"`}},
		{"bridge", spec.Network{ID: "2", Bridge: "br1", DPID: 2}, []string{`option ovs.bridge.name: "br1" is the bridge of network "first"`}},
		{"uplink", spec.Network{ID: "2", Bridge: "br2", DPID: 2, Uplinks: []spec.Uplink{{Name: "eth1"}}}, []string{`option ovs.bridge.add_ports: eth1 is in network "first"`}},
		{"its bridge as uplink", spec.Network{ID: "2", Bridge: "br2", DPID: 2, Uplinks: []spec.Uplink{{Name: "br1"}}}, []string{`option ovs.bridge.add_ports: br1 is the bridge of network "first"`}},
		{"its uplink as bridge", spec.Network{ID: "2", Bridge: "eth1", DPID: 2}, []string{`option ovs.bridge.name: "eth1" is in add_ports of network "first"`}},
		{"subnet within", spec.Network{ID: "2", Bridge: "br2", Mode: spec.Routed, DPID: 2, Subnets: []spec.Subnet{subnet("10.1.2.0/24", "10.1.2.1/24")}}, []string{`subnet 10.1.2.0/24 overlaps 10.1.0.0/16 of network "first"`}},
		{"flat may overlap", spec.Network{ID: "2", Bridge: "br2", Mode: spec.Flat, DPID: 2, Subnets: []spec.Subnet{subnet("10.1.2.0/24", "10.1.2.1/24")}}, nil},
		{"all at once", spec.Network{ID: "2", Bridge: "br1", Mode: spec.NAT, DPID: 1, Uplinks: []spec.Uplink{{Name: "eth1"}}, Subnets: []spec.Subnet{subnet("10.1.0.0/16", "10.1.0.1/16")}},
			[]string{"ovs.bridge.dpid", "ovs.bridge.name", "ovs.bridge.add_ports", "subnet 10.1.0.0/16"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := spec.NewState()
			s.Networks["1"] = one()
			err := s.Admit(tt.n, func(id spec.NetworkID) string { return map[spec.NetworkID]string{"1": "first"}[id] })
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

func TestFreeOFPort(t *testing.T) {
	s := spec.NewState()
	s.Networks["1"] = one() // eth1 has 1
	s.Endpoints["a"] = spec.Endpoint{ID: "a", Network: "1", OFPort: 2}
	s.Endpoints["b"] = spec.Endpoint{ID: "b", Network: "1", OFPort: 4}
	s.Endpoints["c"] = spec.Endpoint{ID: "c", Network: "2", OFPort: 3} // elsewhere
	if p, ok := s.FreeOFPort("1", nil); p != 3 || !ok {
		t.Errorf("got %d, %t, want 3", p, ok)
	}
	if p, ok := s.FreeOFPort("unknown", nil); p != 1 || !ok {
		t.Errorf("got %d, %t, want 1", p, ok)
	}
	n := one()
	n.Uplinks = nil
	for p := spec.OFPort(1); p <= spec.MaxOFPort; p++ {
		n.Uplinks = append(n.Uplinks, spec.Uplink{OFPort: p})
	}
	s.Networks["1"] = n
	if p, ok := s.FreeOFPort("1", nil); ok {
		t.Errorf("got %d of none", p)
	}
}

func TestGateway(t *testing.T) {
	n := spec.Network{Subnets: []spec.Subnet{
		subnet("10.1.0.0/16", "10.1.0.1/16"), subnet("fd00::/64", "fd00::1/64"), {Pool: netip.MustParsePrefix("10.2.0.0/16")},
	}}
	for _, tt := range []struct{ addr, want string }{
		{"10.1.5.5", "10.1.0.1"}, {"fd00::5", "fd00::1"}, {"10.2.0.5", "invalid IP"}, {"192.0.2.1", "invalid IP"},
	} {
		if got := n.Gateway(netip.MustParseAddr(tt.addr)).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.addr, got, tt.want)
		}
	}
}

func TestStateOrderAndClone(t *testing.T) {
	s := spec.NewState()
	for _, id := range []spec.NetworkID{"c", "a", "b"} {
		s.Networks[id] = spec.Network{ID: id}
	}
	for i, id := range []spec.EndpointID{"x", "y", "z"} {
		s.Endpoints[id] = spec.Endpoint{ID: id, Network: "a", OFPort: spec.OFPort(3 - i)}
	}
	s.Endpoints["elsewhere"] = spec.Endpoint{ID: "elsewhere", Network: "b", OFPort: 1}
	var order string
	for _, n := range s.SortedNetworks() {
		order += string(n.ID)
	}
	for _, e := range s.EndpointsOf("a") {
		order += string(e.ID)
	}
	if order != "abczyx" {
		t.Errorf("got %s", order)
	}
	c := s.Clone()
	delete(c.Networks, "a")
	delete(c.Endpoints, "x")
	if len(s.Networks) != 3 || len(s.Endpoints) != 4 {
		t.Error("a clone's change reached the original")
	}
}
