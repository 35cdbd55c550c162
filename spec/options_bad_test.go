// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

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
		{"ovs.bridge.vlan=", `"" is not a number from 1 to 4094`},
		{"ovs.bridge.preallocate_ports=-1", `option ovs.bridge.preallocate_ports: "-1" is not a number from 0 to 4096`},
		{"ovs.bridge.preallocate_ports=4097", `"4097" is not a number from 0 to 4096`},
		{"ovs.bridge.preallocate_ports=", `"" is not a number`},
		{"ovs.bridge.mac_prefix=", `option ovs.bridge.mac_prefix: "" is not the beginning of a MAC address`},
		{"ovs.bridge.mac_prefix=01", `"01" begins a multicast address`},
		{"ovs.bridge.bind_interface=eth0", `it never had an effect; use ovs.bridge.add_ports`},
		{"ovs.bridge.dipd=0x1", `unknown option ovs.bridge.dipd; did you mean ovs.bridge.dpid?`},
		{"ovs.bridge.controllers=tcp:10.0.0.1", `unknown option ovs.bridge.controllers; did you mean ovs.bridge.controller?`},
		{"mode=nat", `unknown option mode; did you mean ovs.bridge.mode?`},
		{"ovs.port.vlan=20", `option ovs.port.vlan: it is a driver-opt of docker run: --network name=NETWORK,driver-opt=ovs.port.vlan=VALUE`},
		{"ovs.bridge.foo=x", `unknown option ovs.bridge.foo`},
		{"com.docker.network.bridge.name=x", `is one of Docker's bridge driver's`},
	} {
		t.Run(tt.option, func(t *testing.T) {
			_, err := spec.ParseNetwork(request(tt.option))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) || (strings.Contains(err.Error(), "did you mean") && !strings.Contains(tt.want, "did you mean")) {
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
