// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"dovesnap/spec"
)

const netID = spec.NetworkID("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

func subnet(pool, gateway string) spec.Subnet {
	return spec.Subnet{Pool: netip.MustParsePrefix(pool), Gateway: netip.MustParsePrefix(gateway)}
}

// request is a network that every mode can have.
func request(options ...string) spec.Request {
	r := spec.Request{ID: netID, Options: map[string]any{}, Subnets: []spec.Subnet{subnet("172.12.0.0/24", "172.12.0.1/24")}}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		r.Options[name] = value
	}
	return r
}

func count(n int) *int { return &n }

func TestDefaults(t *testing.T) {
	got, err := spec.ParseNetwork(request())
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Network{
		ID: netID, Bridge: "dsb0123456789ab", Mode: spec.Flat, DPID: 0xd5000123456789ab, VLAN: 100,
		Subnets: []spec.Subnet{subnet("172.12.0.0/24", "172.12.0.1/24")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestGoodOptions sets each option alone and looks at what it changed.
func TestGoodOptions(t *testing.T) {
	for _, tt := range []struct {
		option string
		want   func(*spec.Network)
	}{
		{"ovs.bridge.mode=flat", func(n *spec.Network) {}},
		{"ovs.bridge.mode=nat", func(n *spec.Network) { n.Mode = spec.NAT }},
		{"ovs.bridge.mode= routed ", func(n *spec.Network) { n.Mode = spec.Routed }},
		{"ovs.bridge.dpid=0x1", func(n *spec.Network) { n.DPID = 1 }},
		{"ovs.bridge.dpid=0XfFfFfFfFfFfFfFfF", func(n *spec.Network) { n.DPID = 1<<64 - 1 }},
		{"ovs.bridge.dpid=0x0000000000000010", func(n *spec.Network) { n.DPID = 16 }},
		{"ovs.bridge.dpid=10", func(n *spec.Network) { n.DPID = 10 }},
		{"ovs.bridge.controller=tcp:127.0.0.1:6653", func(n *spec.Network) { n.Controllers = []spec.Controller{"tcp:127.0.0.1:6653"} }},
		{"ovs.bridge.controller=tcp:10.0.0.1, ssl:[fd00::1]:6653", func(n *spec.Network) {
			n.Controllers = []spec.Controller{"tcp:10.0.0.1", "ssl:[fd00::1]:6653"}
		}},
		{"ovs.bridge.name=br0", func(n *spec.Network) { n.Bridge = "br0" }},
		{"ovs.bridge.name=a23456789012345", func(n *spec.Network) { n.Bridge = "a23456789012345" }},
		{"ovs.bridge.mtu=68", func(n *spec.Network) { n.MTU = 68 }},
		{"ovs.bridge.mtu=65535", func(n *spec.Network) { n.MTU = 65535 }},
		{"com.docker.network.driver.mtu=9000", func(n *spec.Network) { n.MTU = 9000 }},
		{"ovs.bridge.userspace=true", func(n *spec.Network) { n.Userspace = true }},
		{"ovs.bridge.userspace=0", func(n *spec.Network) {}},
		{"ovs.bridge.ovs_local_mac=0E-00-00-00-00-0A", func(n *spec.Network) { n.LocalMAC = "0e:00:00:00:00:0a" }},
		{"ovs.bridge.vlan=1", func(n *spec.Network) { n.VLAN = 1 }},
		{"ovs.bridge.vlan=4094", func(n *spec.Network) { n.VLAN = 4094 }},
		{"ovs.bridge.mac_prefix=0E99", func(n *spec.Network) { n.MACPrefix = "0e:99" }},
		{"ovs.bridge.preallocate_ports=0", func(n *spec.Network) { n.Preallocate = count(0) }},
		{"ovs.bridge.preallocate_ports=4096", func(n *spec.Network) { n.Preallocate = count(4096) }},
		{"com.docker.network.enable_ipv6=true", func(n *spec.Network) {}},
	} {
		t.Run(tt.option, func(t *testing.T) {
			want, err := spec.ParseNetwork(request())
			if err != nil {
				t.Fatal(err)
			}
			tt.want(&want)
			got, err := spec.ParseNetwork(request(tt.option))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
