// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

// one is a nat network with an uplink; the cases below put another beside it.
func one() spec.Network {
	return spec.Network{
		ID: "1", Bridge: "br1", Mode: spec.NAT, DPID: 1,
		Uplinks: []spec.Uplink{{Name: "eth1", OFPort: 1}, {Name: "eth9", OFPort: 9, Coprocessor: true}},
		VLAN:    100, VLANOutACL: "a",
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
		{"its uplink as bridge", spec.Network{ID: "2", Bridge: "eth1", DPID: 2}, []string{`option ovs.bridge.name: "eth1" is in ovs.bridge.add_ports of network "first"`}},
		{"subnet within", spec.Network{ID: "2", Bridge: "br2", Mode: spec.Routed, DPID: 2, Subnets: []spec.Subnet{subnet("10.1.2.0/24", "10.1.2.1/24")}}, []string{`subnet 10.1.2.0/24 overlaps 10.1.0.0/16 of network "first"`}},
		{"flat may overlap", spec.Network{ID: "2", Bridge: "br2", Mode: spec.Flat, DPID: 2, Subnets: []spec.Subnet{subnet("10.1.2.0/24", "10.1.2.1/24")}}, nil},
		{"uplink for a coprocessor", spec.Network{ID: "2", Bridge: "br2", DPID: 2, Uplinks: []spec.Uplink{{Name: "eth1", Coprocessor: true}}}, []string{`option ovs.bridge.add_copro_ports: eth1 is in network "first"`}},
		{"its coprocessor as bridge", spec.Network{ID: "2", Bridge: "eth9", DPID: 2}, []string{`option ovs.bridge.name: "eth9" is in ovs.bridge.add_copro_ports of network "first"`}},
		{"another ACL of its VLAN", spec.Network{ID: "2", Bridge: "br2", DPID: 2, VLAN: 100, VLANOutACL: "b"}, []string{`option ovs.bridge.vlan_out_acl: that of VLAN 100 is "a" by network "first"`}},
		{"the same ACL of its VLAN", spec.Network{ID: "2", Bridge: "br2", DPID: 2, VLAN: 100, VLANOutACL: "a"}, nil},
		{"no ACL of its VLAN", spec.Network{ID: "2", Bridge: "br2", DPID: 2, VLAN: 100}, nil},
		{"another ACL of another VLAN", spec.Network{ID: "2", Bridge: "br2", DPID: 2, VLAN: 101, VLANOutACL: "b"}, nil},
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
