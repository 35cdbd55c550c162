// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"testing"

	"dovesnap/spec"
)

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

func TestFreeOFPortThatSuits(t *testing.T) {
	s := spec.NewState()
	s.Networks["1"] = one() // 1 and 9 are uplinks
	s.Endpoints["a"] = spec.Endpoint{ID: "a", Network: "1", OFPort: 3}
	for _, tt := range []struct {
		name  string
		suits func(spec.OFPort) bool
		want  spec.OFPort
	}{
		{"the lowest that suits", func(p spec.OFPort) bool { return p > 3 }, 4},
		{"a used one never", func(p spec.OFPort) bool { return p == 3 || p == 9 || p == 12 }, 12},
		{"none suits: the lowest", func(p spec.OFPort) bool { return false }, 2},
		{"one far away: not looked for", func(p spec.OFPort) bool { return p == spec.MaxOFPort }, 2},
	} {
		if p, ok := s.FreeOFPort("1", tt.suits); p != tt.want || !ok {
			t.Errorf("%s: got %d, %t, want %d", tt.name, p, ok, tt.want)
		}
	}
}

func TestClaimOFPort(t *testing.T) {
	s := spec.NewState()
	s.Networks["1"] = one()
	s.Endpoints[endpointID] = spec.Endpoint{ID: endpointID, Network: "1", OFPort: 3}
	for _, tt := range []struct {
		network spec.NetworkID
		port    spec.OFPort
		want    string // "": granted
	}{
		{"1", 2, ""}, {"1", spec.MaxOFPort, ""}, {"2", 1, ""}, {"2", 3, ""},
		{"1", 1, `driver-opt ovs.port.ofport: OpenFlow port 1 belongs to interface "eth1"`},
		{"1", 9, `driver-opt ovs.port.ofport: OpenFlow port 9 belongs to interface "eth9"`},
		{"1", 3, `driver-opt ovs.port.ofport: OpenFlow port 3 belongs to endpoint "fedcba987654"`},
	} {
		got := ""
		if err := s.ClaimOFPort(tt.network, tt.port); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("port %d of %s: got %q, want %q", tt.port, tt.network, got, tt.want)
		}
	}
}
