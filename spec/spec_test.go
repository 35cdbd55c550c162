// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"testing"

	"dovesnap/spec"
)

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
