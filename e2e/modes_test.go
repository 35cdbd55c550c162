// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// Modes and options, without a controller: the bridge is a learning switch.
func TestModes(t *testing.T) {
	for _, test := range []struct {
		name   string
		create string // arguments of docker network create
		check  func(t *testing.T, h *testHost)
	}{
		{"nat", "-d ovs -o ovs.bridge.mode=nat --subnet 172.13.0.0/24 --gateway 172.13.0.1", func(t *testing.T, h *testHost) {
			h.reaches("one", "172.13.0.1")
			if seen := h.seenAs("one"); seen != host.HostAddress {
				t.Errorf("outside sees %q, want %q", seen, host.HostAddress)
			}
		}},
		{"nat internal", "-d ovs -o ovs.bridge.mode=nat --internal --subnet 172.13.0.0/24 --gateway 172.13.0.1", func(t *testing.T, h *testHost) {
			h.reaches("one", "172.13.0.1")
		}},
		{"other driver name", "-d dovesnap -o ovs.bridge.mode=nat --subnet 172.13.0.0/24 --gateway 172.13.0.1", func(t *testing.T, h *testHost) {
			h.reaches("one", "172.13.0.1")
		}},
		{"nat with Docker's own choice of subnet", "-d ovs -o ovs.bridge.mode=nat", func(t *testing.T, h *testHost) {
			if seen := h.seenAs("one"); seen != host.HostAddress {
				t.Errorf("outside sees %q, want %q", seen, host.HostAddress)
			}
		}},
		{"routed", "-d ovs -o ovs.bridge.mode=routed --subnet 172.13.0.0/24 --gateway 172.13.0.1", func(t *testing.T, h *testHost) {
			ctx := t.Context()
			if _, err := h.RunOutside(ctx, "ip", "route", "add", "172.13.0.0/24", "via", host.HostAddress); err != nil {
				t.Fatal(err)
			}
			address, _, _ := strings.Cut(h.inspect("net").Containers[h.docker("inspect", "-f", "{{.Id}}", "one")].IPv4Address, "/")
			if seen := h.seenAs("one"); seen != address {
				t.Errorf("outside sees %q, want the container's own %q", seen, address)
			}
		}},
		{"flat", "-d ovs -o ovs.bridge.mode=flat --subnet 172.13.0.0/24", isFlat},
		{"flat by default", "-d ovs --subnet 172.13.0.0/24", isFlat},
		{"options", "-d ovs -o ovs.bridge.mode=nat --subnet 172.13.0.0/24 --gateway 172.13.0.1" +
			" -o ovs.bridge.name=mybr0 -o ovs.bridge.mtu=1400 -o ovs.bridge.userspace=true -o ovs.bridge.ovs_local_mac=0e:00:00:00:00:01 -o ovs.bridge.dpid=0x2a",
			func(t *testing.T, h *testHost) {
				for _, check := range []struct{ want, command string }{
					{"mybr0", "ovs-vsctl list-br"},
					{"netdev", "ovs-vsctl get Bridge mybr0 datapath_type"},
					{`"000000000000002a"`, "ovs-vsctl get Bridge mybr0 datapath_id"},
					{"1400", "cat /sys/class/net/mybr0/mtu"},
					{"1400", "docker exec one cat /sys/class/net/eth0/mtu"},
					{"0e:00:00:00:00:01", "cat /sys/class/net/mybr0/address"},
				} {
					if got := h.run(strings.Fields(check.command)...); got != check.want {
						t.Errorf("%s: %q, want %q", check.command, got, check.want)
					}
				}
				h.reaches("one", "172.13.0.1")
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachSuite(t, func(t *testing.T, h *testHost) {
				h.ready()
				h.dovesnap()
				before := h.snapshot()
				h.docker(strings.Fields("network create net " + test.create)...)
				h.container("one", "net")
				h.container("two", "net")
				h.reaches("one", "two")
				test.check(t, h)
				h.withoutGatewayBridge("one", "two")
				h.docker("rm", "-f", "one", "two")
				h.docker("network", "rm", "net")
				h.nothingLeftSince(before)
			})
		})
	}
}

func isFlat(t *testing.T, h *testHost) {
	if addresses := h.run("ip", "-4", "-o", "addr", "show", "dev", h.bridge()); addresses != "" {
		t.Errorf("the bridge has an address: %s", addresses)
	}
	if h.pings("one", host.OutsideAddress) == nil {
		t.Error("a container of a flat network has a way out")
	}
}

// A flat network reaches what is behind the interfaces added to it, through the
// router on that LAN that --gateway names.
func TestFlatWithAddedPort(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.dovesnap()
		for _, args := range []string{
			"netns add lan", "link add lan0 type veth peer name eth0 netns lan",
			"-n lan addr add 192.0.2.1/24 dev eth0", "-n lan addr add 203.0.113.1/32 dev lo",
			"-n lan link set lo up", "-n lan link set eth0 up",
		} {
			h.run(append([]string{"ip"}, strings.Fields(args)...)...)
		}
		before := h.snapshot()
		h.docker(strings.Fields("network create lan -d ovs --subnet 192.0.2.0/24 --gateway 192.0.2.1 -o ovs.bridge.add_ports=lan0/7")...)
		if got := h.run("ovs-vsctl", "--timeout=20", "get", "Interface", "lan0", "ofport"); got != "7" {
			t.Errorf("lan0 has OpenFlow port %s, want 7", got)
		}
		h.container("one", "lan", "--ip=192.0.2.20")
		h.reaches("one", "192.0.2.1")
		h.reaches("one", "203.0.113.1") // behind that router
		h.withoutGatewayBridge("one")
		h.docker("rm", "-f", "one")
		h.docker("network", "rm", "lan")
		if flags := h.run("ip", "-brief", "link", "show", "lan0"); strings.Contains(flags, "NOARP") || strings.Contains(flags, "PROMISC") {
			t.Errorf("the interface does not come back as it was: %s", flags)
		}
		// The interface itself is the operator's; it stays, as it was but up.
		h.run("ip", "link", "set", "lan0", "down")
		h.nothingLeftSince(before)
	})
}
