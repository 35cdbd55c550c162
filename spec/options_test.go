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
		{"ovs.bridge.add_ports=eth1", func(n *spec.Network) { n.Uplinks = []spec.Uplink{{Name: "eth1", OFPort: 1}} }},
		{"ovs.bridge.add_ports=eth1/1, eth2/65279,eth3/,eth4///", func(n *spec.Network) {
			n.Uplinks = []spec.Uplink{{Name: "eth1", OFPort: 1}, {Name: "eth2", OFPort: 65279}, {Name: "eth3", OFPort: 2}, {Name: "eth4", OFPort: 3}}
		}},
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

func TestBadOptions(t *testing.T) {
	for _, tt := range []struct{ option, want string }{
		{"ovs.bridge.mode=bridge", `option ovs.bridge.mode: "bridge" is not flat, nat or routed`},
		{"ovs.bridge.mode=", `option ovs.bridge.mode: "" is not flat, nat or routed`},
		{"ovs.bridge.mode=NAT", `option ovs.bridge.mode: "NAT" is not flat, nat or routed`},
		{"ovs.bridge.dpid=0", `option ovs.bridge.dpid: "0" is not a datapath id`},
		{"ovs.bridge.dpid=0x0", `"0x0" is not a datapath id`},
		{"ovs.bridge.dpid=0x", `"0x" is not a datapath id`},
		{"ovs.bridge.dpid=-1", `"-1" is not a datapath id`},
		{"ovs.bridge.dpid=0x10000000000000000", `"0x10000000000000000" is not a datapath id`},
		{"ovs.bridge.dpid=18446744073709551616", `"18446744073709551616" is not a datapath id`},
		{"ovs.bridge.dpid=ff", `"ff" is not a datapath id`},
		{"ovs.bridge.dpid=0000000000000001", `"0000000000000001" is ambiguous: write 0x`},
		{"ovs.bridge.controller=", `option ovs.bridge.controller: "" is not a controller`},
		{"ovs.bridge.controller=127.0.0.1:6653", `"127.0.0.1:6653" is not a controller`},
		{"ovs.bridge.controller=tcp:10.0.0.1,tcp:10.0.0.1", `"tcp:10.0.0.1" is listed twice`},
		{"ovs.bridge.name=", `option ovs.bridge.name: "" is not an interface name`},
		{"ovs.bridge.name=a234567890123456", `"a234567890123456" is not an interface name: at most 15`},
		{"ovs.bridge.name=br+", `"br+" is not an interface name`},
		{"ovs.bridge.name=br/0", `"br/0" is not an interface name`},
		{"ovs.bridge.name=..", `".." is not an interface name`},
		{"ovs.bridge.name=docker0", `"docker0" is reserved`},
		{"ovs.bridge.name=dsv0123456789ab", `begins like a container's link`},
		{"ovs.bridge.mtu=67", `option ovs.bridge.mtu: "67" is not a number from 68 to 65535`},
		{"ovs.bridge.mtu=65536", `"65536" is not a number from 68 to 65535`},
		{"ovs.bridge.mtu=1500b", `"1500b" is not a number`},
		{"com.docker.network.driver.mtu=1", `option com.docker.network.driver.mtu: "1" is not a number from 68 to 65535`},
		{"ovs.bridge.userspace=yes", `option ovs.bridge.userspace: "yes" is not true or false`},
		{"ovs.bridge.ovs_local_mac=01:00:5e:00:00:01", `"01:00:5e:00:00:01" is not a unicast MAC`},
		{"ovs.bridge.ovs_local_mac=00:00:00:00:00:00", `is not a unicast MAC`},
		{"ovs.bridge.ovs_local_mac=0e:00:00:00:00", `"0e:00:00:00:00" is not a MAC address`},
		{"ovs.bridge.ovs_local_mac=0e:00:00:00:00:00:00:01", `is not a MAC address`},
		{"ovs.bridge.vlan=0", `option ovs.bridge.vlan: "0" is not a number from 1 to 4094`},
		{"ovs.bridge.vlan=4095", `"4095" is not a number from 1 to 4094`},
		{"ovs.bridge.add_ports=", `option ovs.bridge.add_ports: "" is not an interface name`},
		{"ovs.bridge.add_ports=eth1/0", `"0" is not an OpenFlow port number: 1 to 65279`},
		{"ovs.bridge.add_ports=eth1/65280", `"65280" is not an OpenFlow port number`},
		{"ovs.bridge.add_ports=eth1/4294967297", `"4294967297" is not an OpenFlow port number`},
		{"ovs.bridge.add_ports=eth1,eth1/2", `eth1 is listed twice`},
		{"ovs.bridge.add_ports=eth1/2,eth2/2", `eth1 and eth2 both ask for OpenFlow port 2`},
		{"ovs.bridge.add_ports=eth1/2/acl", `"eth1/2/acl": the field ACL is not available yet`},
		{"ovs.bridge.add_ports=eth1///20", `"eth1///20": the field VLAN is not available yet`},
		{"ovs.bridge.add_ports=eth1/1/2/3/4", `has more than NIC/OFPORT/ACL/VLAN`},
		{"ovs.bridge.add_ports=dsb0123456789ab", `dsb0123456789ab is the bridge itself`},
		{"ovs.bridge.bind_interface=eth0", `it never had an effect; use ovs.bridge.add_ports`},
		{"ovs.bridge.dipd=0x1", `unknown option ovs.bridge.dipd; did you mean ovs.bridge.dpid?`},
		{"ovs.bridge.controllers=tcp:10.0.0.1", `unknown option ovs.bridge.controllers; did you mean ovs.bridge.controller?`},
		{"mode=nat", `unknown option mode; did you mean ovs.bridge.mode?`},
		{"com.docker.network.bridge.name=x", `is one of Docker's bridge driver's`},
	} {
		t.Run(tt.option, func(t *testing.T) {
			_, err := spec.ParseNetwork(request(tt.option))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLaterOptionsAreRefused(t *testing.T) {
	later := 0
	for _, o := range spec.Options {
		if !o.Later {
			continue
		}
		later++
		_, err := spec.ParseNetwork(request(o.Name + "=1"))
		if want := "option " + o.Name + " is not available yet"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if later == 0 {
		t.Error("none tried")
	}
}

func TestAllBadOptionsAtOnce(t *testing.T) {
	r := request("ovs.bridge.mode=x", "ovs.bridge.vlan=0", "ovs.bridge.dhcp=true", "nonsense=1")
	r.Options["ovs.bridge.mtu"] = 1500.0
	_, err := spec.ParseNetwork(r)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"ovs.bridge.mode:", "ovs.bridge.vlan:", "ovs.bridge.dhcp is not available yet", "unknown option nonsense", "ovs.bridge.mtu: its value is not a string"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
}

func TestRoutedModesNeedAGateway(t *testing.T) {
	for _, mode := range []string{"nat", "routed"} {
		r := request("ovs.bridge.mode=" + mode)
		r.Subnets = []spec.Subnet{{Pool: netip.MustParsePrefix("10.0.0.0/24")}}
		if _, err := spec.ParseNetwork(r); err == nil || !strings.Contains(err.Error(), "mode "+mode+" needs a subnet with a gateway") {
			t.Errorf("got %v", err)
		}
		r.Subnets = []spec.Subnet{subnet("fd00::/64", "fd00::1/64")}
		if _, err := spec.ParseNetwork(r); err != nil {
			t.Errorf("IPv6 only: %v", err)
		}
	}
	r := request("ovs.bridge.mode=flat")
	r.Subnets = nil
	if _, err := spec.ParseNetwork(r); err != nil {
		t.Errorf("flat without a subnet: %v", err)
	}
}

func TestDefaultControllers(t *testing.T) {
	r := request()
	r.Controllers = []spec.Controller{"tcp:192.0.2.1"}
	n, err := spec.ParseNetwork(r)
	if err != nil || !reflect.DeepEqual(n.Controllers, r.Controllers) {
		t.Errorf("the daemon's default: got %v, %v", n.Controllers, err)
	}
	r.Options["ovs.bridge.controller"] = "tcp:192.0.2.2"
	n, err = spec.ParseNetwork(r)
	if want := []spec.Controller{"tcp:192.0.2.2"}; err != nil || !reflect.DeepEqual(n.Controllers, want) {
		t.Errorf("the network's own: got %v, %v", n.Controllers, err)
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"level", "format", "mode"}
	for _, tt := range []struct{ in, want string }{
		{"levle", "level"}, {"formt", "format"}, {"mod", "mode"}, {"mode", "mode"}, {"", "mode"},
	} {
		if got := spec.Nearest(tt.in, candidates); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := spec.Nearest("x", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}
