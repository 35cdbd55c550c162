// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

const dualSubnets = " --ipv6 --subnet 172.13.0.0/24 --gateway 172.13.0.1 --subnet fd00:13::/64 --gateway fd00:13::1"

// Both families in every mode, without a controller.
func TestDualStack(t *testing.T) {
	for _, test := range []struct {
		mode, create string
		outside      string // how the outside sees a container's IPv6; "": not at all
	}{
		{"nat", dualSubnets, host.HostAddress6},
		{"routed", dualSubnets, "fd00:13::20"},
		{"flat", " --ipv6 --subnet 172.13.0.0/24 --subnet fd00:13::/64", ""},
	} {
		t.Run(test.mode, func(t *testing.T) {
			eachSuite(t, func(t *testing.T, h *testHost) {
				h.ready()
				h.dovesnap()
				before := h.snapshot()
				if _, err := h.outside("ip", "route", "add", "fd00:13::/64", "via", host.HostAddress6); err != nil {
					t.Fatal(err)
				}
				h.docker(strings.Fields("network create net -d ovs -o ovs.bridge.mode=" + test.mode + test.create)...)
				h.container("one", "net", "--ip6=fd00:13::20")
				h.container("two", "net")
				h.hasIPv6("one", "fd00:13::20")
				h.reaches("two", "fd00:13::20")
				h.reaches("one", h.addresses("two")[0])
				if test.outside == "" {
					if h.pings("one", host.OutsideAddress6) == nil {
						t.Error("a container of a flat network has a way out")
					}
					if addresses := h.run("ip", "-6", "-o", "addr", "show", "dev", h.bridge()); addresses != "" {
						t.Errorf("the bridge has an address: %s", addresses)
					}
				} else {
					h.wayOut6("one", "fd00:13::1", test.outside)
				}
				h.withoutAdvertisements("one")
				h.withoutGatewayBridge("one", "two")
				h.docker("rm", "-f", "one", "two")
				h.docker("network", "rm", "net")
				h.nothingLeftSince(before)
			})
		})
	}
}

// hasIPv6 checks what Docker shows and what the container has.
func (h *testHost) hasIPv6(container, address string) {
	h.t.Helper()
	if shown := h.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}", container); shown != address {
		h.t.Errorf("inspect shows %q, want %q", shown, address)
	}
	if has := h.docker("exec", container, "ip", "-6", "addr", "show", "dev", "eth0"); !strings.Contains(has, address+"/64") {
		h.t.Errorf("the container has %s, want %s", has, address)
	}
}

// wayOut6 checks a container's gateway, and as whom the outside sees it.
func (h *testHost) wayOut6(container, gateway, as string) {
	h.t.Helper()
	h.reaches(container, gateway)
	if routes := h.docker("exec", container, "ip", "-6", "route"); !strings.Contains(routes, "default via "+gateway) {
		h.t.Errorf("routes are %s", routes)
	}
	if shown := h.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPv6Gateway}}{{end}}", container); shown != gateway {
		h.t.Errorf("inspect shows gateway %q, want %q", shown, gateway)
	}
	h.reaches(container, host.OutsideAddress6)
	if seen, err := h.exec(container, "nc", "-w5", host.OutsideAddress6, "80"); err != nil || seen != as {
		h.t.Errorf("outside sees %q (%v), want %q", seen, err, as)
	}
}

// withoutAdvertisements checks that no router announced itself to a container.
func (h *testHost) withoutAdvertisements(container string) {
	h.t.Helper()
	const counter = "Icmp6InRouterAdvertisements"
	for _, line := range strings.Split(h.docker("exec", container, "cat", "/proc/net/snmp6"), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == counter {
			if f[1] != "0" {
				h.t.Errorf("%s router advertisements", f[1])
			}
			return
		}
	}
	h.t.Errorf("no counter %s", counter)
}

// A network without IPv4, which only Docker 28 makes.
func TestIPv6Only(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		if h.suite() != "forky" {
			t.Skip("docker network create --ipv4=false is from Docker 28 on")
		}
		h.readyToPublish()
		h.dovesnap()
		for _, mode := range []string{"nat", "routed", "flat"} {
			before := h.snapshot()
			h.docker(strings.Fields("network create net -d ovs --ipv4=false --ipv6 --subnet fd00:14::/64 --gateway fd00:14::1 -o ovs.bridge.mode=" + mode)...)
			if mode == "flat" {
				h.container("one", "net")
				h.container("two", "net")
				h.reaches("one", h.addresses("two")[0])
				h.docker("rm", "-f", "two")
			} else {
				h.server("one", "net", "-p", "8080:80")
				seen, err := h.outside(peerPath, "ask", "tcp", "["+host.HostAddress6+"]:8080")
				if err != nil || seen != host.OutsideAddress6 {
					t.Errorf("%s: the published port sees %q, %v", mode, seen, err)
				}
				h.reaches("one", "fd00:14::1")
			}
			if mode == "nat" {
				h.wayOut6("one", "fd00:14::1", host.HostAddress6)
			}
			if v4 := h.docker("exec", "one", "ip", "-4", "-o", "addr", "show", "dev", "eth0"); v4 != "" {
				t.Errorf("%s: the container has %s", mode, v4)
			}
			h.withoutGatewayBridge("one")
			h.docker("rm", "-f", "one")
			h.docker("network", "rm", "net")
			h.nothingLeftSince(before)
		}
	})
}

// Neighbour discovery passes through Faucet as the README's faucet.yaml has it.
func TestDualStackThroughFaucet(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.dovesnap()
		h.faucet(faucetYAML)
		h.docker(strings.Fields("network create net -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 -o ovs.bridge.controller=tcp:127.0.0.1:6653" + dualSubnets)...)
		h.container("one", "net", "--ip6=fd00:13::20")
		h.container("two", "net")
		h.reaches("two", "fd00:13::20")
		h.wayOut6("one", "fd00:13::1", host.HostAddress6)
		h.reaches("one", "172.13.0.1")
		h.withoutAdvertisements("one")
		out := h.docker("exec", "one", "ping", "-c3", "-i0.2", "fd00:13::1")
		if strings.Contains(out, "DUP") {
			t.Errorf("somebody answers twice: %s", out)
		}
	})
}
