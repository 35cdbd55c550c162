// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// What people's compose files and scripts have said since 2020, under both names of
// the driver: flags that used to be needed, every option that has a meaning, and
// labels with expressions.
func TestVocabulary(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.faucetFile(operatorYAML + "  lab-only: [{rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}}, {rule: {actions: {allow: true}}}]\n")
		for i, driver := range []string{"ovs", "dovesnap"} {
			name, subnet := "lab-"+driver, 20+i
			h.docker("network", "create", "-d", driver, "--internal", "--subnet", fmt.Sprintf("172.%d.0.0/24", subnet), "--gateway", fmt.Sprintf("172.%d.0.1", subnet),
				"-o", "ovs.bridge.mode=nat", "-o", fmt.Sprintf("ovs.bridge.dpid=0x%d", subnet), "-o", "ovs.bridge.controller=tcp:127.0.0.1:6653,tcp:127.0.0.1:6654",
				"-o", "ovs.bridge.vlan="+fmt.Sprint(100+i), "-o", "ovs.bridge.mtu=1400", "-o", "ovs.bridge.preallocate_ports=15", "-o", "ovs.bridge.userspace=true",
				"-o", "ovs.bridge.nat_acl=open", "-o", "ovs.bridge.default_acl=open/other:nothing", "-o", "ovs.bridge.ovs_local_mac=0e:01:00:00:00:0"+fmt.Sprint(i), name)
			one := h.container("one"+driver, name)
			h.reaches(one, fmt.Sprintf("172.%d.0.1", subnet))
			h.seenAs(one)

			// An expression: this network's ACL, not the other's, and the default where
			// it says nothing of this one.
			own := h.container("own"+driver, name, "--label=dovesnap.faucet.portacl=open/"+name+":lab-only")
			h.seenAs(own)
			if h.pings(own, fmt.Sprintf("172.%d.0.1", subnet)) == nil {
				t.Errorf("%s: the ACL of this network is not in force", name)
			}
			other := h.container("other"+driver, name, "--label=dovesnap.faucet.portacl=elsewhere:nothing", "--label=dovesnap.faucet.mac_prefix=0e:99")
			h.reaches(other, fmt.Sprintf("172.%d.0.1", subnet))
			eventually(t, patience, "the MAC prefix", func() error {
				if mac := h.mac(other); !strings.HasPrefix(mac, "0e:99:") {
					return fmt.Errorf("it is %s", mac)
				}
				return nil
			})
			if mtu := h.docker("exec", other, "cat", "/sys/class/net/eth0/mtu"); mtu != "1400" {
				t.Errorf("MTU %s", mtu)
			}
		}
	})
}

// A container on two networks, in either order, and one that is connected while it
// runs: each of its ports has the ACL of its network.
func TestLabelOnSeveralNetworks(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.faucetFile(operatorYAML)
		h.createManaged("a", 31, "-o", "ovs.bridge.default_acl=open")
		h.createManaged("b", 32, "-o", "ovs.bridge.default_acl=open")
		check := func(box, what string) {
			t.Helper()
			h.reaches(box, "172.31.0.1")
			eventually(t, patience, "nobody to be held", func() error {
				if s, _ := h.try(host.Program, "status", "--json"); !strings.Contains(s, `"held": false`) || strings.Contains(s, `"held": true`) {
					return fmt.Errorf("somebody is: %s", s)
				}
				return nil
			})
			if h.pings(box, "172.32.0.1") == nil {
				t.Errorf("%s: the ACL on b is not in force", what)
			}
		}
		label := "--label=dovesnap.faucet.portacl=open/b:nothing"
		one := h.container("one", "a", label)
		h.docker("network", "connect", "b", one)
		check(one, "connected while it runs")
		h.docker("restart", "-t0", one)
		check(one, "restarted")
		h.docker("network", "disconnect", "a", one)
		h.docker("network", "connect", "a", one)
		check(one, "in another order")
		two := h.container("two", "b", label)
		h.docker("network", "connect", "a", two)
		check(two, "the other way round")
	})
}

// Ports that somebody else puts on a bridge of ours are Faucet's to know, as long as
// they are there.
func TestPortsOfOthers(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.faucetFile(operatorYAML)
		h.createManaged("net", 12)
		one := h.container("one", "net")
		h.reaches(one, "172.12.0.1")
		// A machine of its own on a port that ovs-vsctl adds.
		h.run("sh", "-c", `ip netns add vm && ip link add tap0 type veth peer name eth0 netns vm && ip link set tap0 up &&
			ip netns exec vm ip addr add 172.12.0.99/24 dev eth0 && ip netns exec vm ip link set eth0 up && ethtool -K tap0 tx off >/dev/null 2>&1
			ovs-vsctl --timeout=20 add-port `+h.bridge()+` tap0 -- set Interface tap0 ofport_request=200`)
		h.reaches(one, "172.12.0.99")
		if text := h.ourYAML(); !strings.Contains(text, "Physical interface tap0") {
			t.Errorf("Faucet is told\n%s", text)
		}
		// Ports without a link of that name here do no harm.
		h.run("ovs-vsctl", "--timeout=20", "add-port", h.bridge(), "vx0", "--", "set", "Interface", "vx0", "type=vxlan", "options:remote_ip=127.0.0.2")
		h.run("ovs-vsctl", "--timeout=20", "add-port", h.bridge(), "in0", "--", "set", "Interface", "in0", "type=internal")
		h.run("sh", "-c", "ip netns add elsewhere && ip link set in0 netns elsewhere")
		eventually(t, patience, "the tunnel to be known", func() error {
			if text := h.ourYAML(); !strings.Contains(text, "Physical interface vx0") || !strings.Contains(text, "Physical interface in0") {
				return fmt.Errorf("Faucet is told\n%s", text)
			}
			return nil
		})
		h.run("sh", "-c", fmt.Sprintf("for p in tap0 vx0 in0; do ovs-vsctl --timeout=20 del-port %s $p; done", h.bridge()))
		eventually(t, patience, "the ports to be withdrawn", func() error {
			if text := h.ourYAML(); strings.Contains(text, "Physical interface") {
				return fmt.Errorf("Faucet is told\n%s", text)
			}
			return nil
		})
		h.reaches(one, "172.12.0.1")
		eventually(t, patience, "all to be well", func() error {
			_, err := h.try(host.Program, "status")
			return err
		})
	})
}
