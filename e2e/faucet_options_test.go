// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// machine puts a machine with an address behind a new interface of the host.
func (h *testHost) machine(nic, address string) {
	h.t.Helper()
	h.run("sh", "-c", fmt.Sprintf(`ip netns add %[1]s && ip link add %[1]s type veth peer name eth0 netns %[1]s && ethtool -K %[1]s tx off >/dev/null
		ip netns exec %[1]s sh -c 'ethtool -K eth0 tx off >/dev/null; ip addr add %[2]s/24 dev eth0; ip link set lo up; ip link set eth0 up'`, nic, address))
}

// answers waits until a machine has found address on its link, which it asks for by
// pings, answered or not.
func (h *testHost) answers(nic, address string) (pinged bool) {
	h.t.Helper()
	eventually(h.t, patience, nic+" to find "+address, func() error {
		_, err := h.try("ip", "netns", "exec", nic, "ping", "-c1", "-W1", address)
		pinged = err == nil
		if seen := h.run("ip", "netns", "exec", nic, "ip", "neigh", "show", address); !strings.Contains(seen, "lladdr") {
			return fmt.Errorf("its neighbour is %q", seen)
		}
		return nil
	})
	return pinged
}

// on is the argument for a container on a network with driver-opts.
func on(network string, opts ...string) string {
	return "--network=name=" + network + ",driver-opt=" + strings.Join(opts, ",driver-opt=")
}

// What the options say of ports is what their packets meet in Faucet.
func TestFaucetOptionsMeetPackets(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Suites[1])
	h.managed("file", operatorYAML+"  quiet: [{rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}}, {rule: {actions: {allow: true}}}]\n")
	run := func(name string, args ...string) string {
		h.docker(append(append([]string{"run", "-td", "--name=" + name}, args...), "busybox")...)
		return name
	}
	t.Run("uplinks", func(t *testing.T) {
		h := h.in(t)
		h.machine("acl0", "172.41.0.91")
		h.machine("open0", "172.41.0.92")
		h.machine("vlan0", "172.41.0.93")
		h.createManaged("up", 41, "-o", "ovs.bridge.add_ports=acl0//quiet,open0/70,vlan0///30")
		one := h.container("one", "up")
		h.reaches(one, "172.41.0.92")
		if h.answers("acl0", "172.41.0.1") {
			t.Error("the ACL of an uplink is not in force")
		}
		thirty := run("thirty", on("up", "ovs.port.vlan=30", "ovs.port.ofport=40"))
		h.reaches(thirty, "172.41.0.93")
		if h.pings(one, "172.41.0.93") == nil || h.pings(thirty, "172.41.0.92") == nil {
			t.Error("the VLANs of an uplink and of a container are not apart")
		}
		if got := h.ofport(thirty); got != "40" {
			t.Errorf("OpenFlow port %s, want 40", got)
		}
		h.docker("rm", "-f", one, thirty)
		h.docker("network", "rm", "up")
	})
	t.Run("coprocessor", func(t *testing.T) {
		h := h.in(t)
		h.machine("copro0", "172.42.0.91")
		h.createManaged("copro", 42, "-o", "ovs.bridge.add_copro_ports=copro0/9")
		one := run("copied", on("copro", "ovs.port.ofport=40"))
		h.reaches(one, "172.42.0.1")
		h.installPeer()
		received := func() int {
			return must[int](t)(strconv.Atoi(h.docker("exec", one, "cat", "/sys/class/net/eth0/statistics/rx_packets")))
		}
		before := received()
		eventually(t, patience, "frames with its tag to leave by a port", func() error {
			h.run("ip", "netns", "exec", "copro0", peerPath, "tag", "eth0", "1040", h.mac(one))
			if now := received(); now < before+50 {
				return fmt.Errorf("it has %d packets, after %d", now, before)
			}
			return nil
		})
		before = received()
		h.run("ip", "netns", "exec", "copro0", peerPath, "tag", "eth0", "1041", h.mac(one))
		if now := received(); now > before+50 {
			t.Error("frames with another tag leave by that port, too")
		}
		h.docker("rm", "-f", one)
		h.docker("network", "rm", "copro")
	})
	t.Run("trunks", func(t *testing.T) {
		h := h.in(t)
		h.createManaged("trunked", 47)
		h.installPeer()
		trunk := run("trunk", `--network=name=trunked,"driver-opt=ovs.port.trunks=10,30-31"`)
		h.docker("cp", peerPath, trunk+":/bin/peer")
		for vid, passes := range map[string]bool{"10": true, "20": false, "31": true} {
			box := run("in"+vid, on("trunked", "ovs.port.vlan="+vid))
			h.pings(box, "172.47.0.99") // so that Faucet knows where it is
			received := func() int {
				return must[int](t)(strconv.Atoi(h.docker("exec", box, "cat", "/sys/class/net/eth0/statistics/rx_packets")))
			}
			send := func() { h.docker("exec", trunk, "peer", "tag", "eth0", vid, h.mac(box)) }
			before := received()
			if passes {
				eventually(t, patience, "frames with tag "+vid+" to arrive", func() error {
					send()
					if now := received(); now < before+50 {
						return fmt.Errorf("it has %d packets, after %d", now, before)
					}
					return nil
				})
			} else if send(); received() > before+50 {
				t.Errorf("frames with tag %s arrive, which is not of the trunk", vid)
			}
			h.docker("rm", "-f", box)
		}
		h.docker("rm", "-f", trunk)
		h.docker("network", "rm", "trunked")
	})
	t.Run("nat_acl", func(t *testing.T) {
		h := h.in(t)
		h.createManaged("gw", 43, "-o", "ovs.bridge.nat_acl=quiet")
		one, two := h.container("one", "gw"), h.container("two", "gw")
		h.seenAs(one)
		h.reaches(one, "172.43.0.3")
		if h.pings(two, "172.43.0.1") == nil {
			t.Error("the gateway's ACL is not in force")
		}
		h.docker("rm", "-f", one, two)
		h.docker("network", "rm", "gw")
	})
	t.Run("default_acl, and what wins over it", func(t *testing.T) {
		h := h.in(t)
		h.createManaged("strict", 44, "-o", "ovs.bridge.default_acl=quiet")
		one := h.container("one", "strict")
		h.seenAs(one)
		if h.pings(one, "172.44.0.1") == nil {
			t.Error("the default ACL is not in force")
		}
		two := run("two", on("strict", "dovesnap.faucet.portacl=open"), "--label=dovesnap.faucet.portacl=nothing")
		h.reaches(two, "172.44.0.1")
		h.docker("rm", "-f", one, two)
		h.docker("network", "rm", "strict")
	})
	t.Run("vlan_out_acl", func(t *testing.T) {
		h := h.in(t)
		h.createManaged("out", 45, "-o", "ovs.bridge.vlan=245", "-o", "ovs.bridge.vlan_out_acl=no-icmp")
		one := h.container("one", "out")
		h.seenAs(one)
		if h.pings(one, "172.45.0.1") == nil {
			t.Error("the ACL of the VLAN is not in force")
		}
		h.docker("rm", "-f", one)
		h.docker("network", "rm", "out")
	})
	t.Run("more ports than are known in advance", func(t *testing.T) {
		h := h.in(t)
		h.machine("in0", "172.46.0.91")
		h.createManaged("few", 46, "-o", "ovs.bridge.preallocate_ports=2", "-o", "ovs.bridge.add_ports=in0/1/quiet")
		var boxes []string
		for i := range 4 {
			boxes = append(boxes, h.container(fmt.Sprintf("box%d", i), "few"))
		}
		ports := map[string]bool{"1": true}
		for _, box := range boxes {
			h.reaches(box, "172.46.0.1")
			if port := h.ofport(box); ports[port] {
				t.Errorf("%s has OpenFlow port %s, as another", box, port)
			} else {
				ports[port] = true
			}
		}
		if h.answers("in0", "172.46.0.1") {
			t.Error("the ACL of an uplink inside the range is not in force")
		}
		h.docker(append([]string{"rm", "-f"}, boxes...)...)
		h.docker("network", "rm", "few")
	})
}

// docker inspect tells the truth of addresses that begin as a network or a
// driver-opt asks, and a label's address is on each of a container's networks,
// whatever happens to it.
func TestMACPrefixes(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.dovesnap()
		for i, args := range [][]string{{"a", "-o", "ovs.bridge.mac_prefix=0e:99"}, {"b"}} {
			h.docker(append([]string{"network", "create", "-d", "ovs", "-o", "ovs.bridge.mode=nat", fmt.Sprintf("--subnet=172.5%d.0.0/24", i)}, args...)...)
		}
		inspected := func(box, network string) string {
			return h.docker("inspect", fmt.Sprintf("--format={{(index .NetworkSettings.Networks %q).MacAddress}}", network), box)
		}
		for box, want := range map[string]struct{ network, prefix string }{
			h.container("one", "a"): {"a", "0e:99:"},
			func() string {
				h.docker("run", "-td", "--name=two", on("b", "dovesnap.faucet.mac_prefix=0e:98:97"), "busybox")
				return "two"
			}(): {"b", "0e:98:97:"},
		} {
			if mac, says := h.mac(box), inspected(box, want.network); mac != says || !strings.HasPrefix(mac, want.prefix) {
				t.Errorf("%s has %s, docker inspect says %s, want %s…", box, mac, says, want.prefix)
			}
		}
		h.container("both", "b", "--label=dovesnap.faucet.mac_prefix=0e:77")
		all := func(when string) {
			t.Helper()
			eventually(t, patience, "the label's addresses, "+when, func() error {
				macs := strings.Fields(h.docker("exec", "both", "sh", "-c", "cat /sys/class/net/eth*/address"))
				if len(macs) != 2 || !strings.HasPrefix(macs[0], "0e:77:") || !strings.HasPrefix(macs[1], "0e:77:") {
					return fmt.Errorf("they are %s", macs)
				}
				return nil
			})
			h.reaches("both", "172.50.0.1")
			h.reaches("both", "172.51.0.1")
		}
		h.docker("network", "connect", "a", "both")
		all("connected")
		h.docker("restart", "-t0", "both")
		all("restarted")
		h.docker("network", "disconnect", "b", "both")
		h.docker("network", "connect", "b", "both")
		h.docker("restart", "-t0", "both")
		all("in another order")
	})
}
