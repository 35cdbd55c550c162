// SPDX-License-Identifier: Apache-2.0

// Package vmtest tests dovesnap in virtual machines: what needs a kernel module,
// a service manager, a package manager, a reboot or a power cut. Its own tools are
// in vm and agent, and tested here first.
package vmtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/vmtest/vm"
)

// eachSuite runs test once per suite, as a subtest of its name.
func eachSuite(t *testing.T, test func(t *testing.T, suite string)) {
	for _, suite := range vm.Suites {
		t.Run(suite, func(t *testing.T) { test(t, suite) })
	}
}

// A guest boots without a failed unit; reboots; and survives a power cut with what
// was flushed.
func TestSelfPower(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Boot(t, suite)
		bootID := func() string { return g.Sh("cat /proc/sys/kernel/random/boot_id") }
		running := func() string {
			return g.Sh("systemctl is-system-running; docker version -f '{{.Server.Version}}'; uname -r")
		}
		t.Log(running())
		first := bootID()

		g.Sh("echo reboot >/root/kept; echo gone >/run/gone")
		g.Reboot()
		second := bootID()
		if second == first {
			t.Error("same boot id after a reboot")
		}
		g.Sh("test $(cat /root/kept) = reboot; ! test -e /run/gone")
		running()

		g.Sh("echo flushed >/root/kept; sync; echo later >>/root/kept")
		g.PowerCut()
		if got := bootID(); got == second {
			t.Error("same boot id after a power cut")
		}
		if got := g.Sh("head -n 1 /root/kept"); got != "flushed" {
			t.Errorf("flushed file has %q", got)
		}
		g.Booted()
		running()
	})
}

// What a test does to a guest comes back as it should, and a clone starts clean.
func TestSelfGuest(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		before := g.State()

		if out, code := g.Try("echo out; echo err >&2; exit 3"); code != 3 || out != "out\nerr" {
			t.Errorf("script ended with %d, %q", code, out)
		}
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		file := filepath.Join(t.TempDir(), "large")
		if err := os.WriteFile(file, large, 0o755); err != nil {
			t.Fatal(err)
		}
		g.Put(file, "/root/new/large")
		if got := g.Get("/root/new/large"); !bytes.Equal(got, large) {
			t.Errorf("%d bytes came back as %d or changed", len(large), len(got))
		}
		g.Sh("test -x /root/new/large")
		g.Go("echo > /root/new/late")
		g.Await("a task", "test -e /root/new/late")

		diff := before.Diff(g.State())
		for _, name := range []string{"/root/new", "/root/new/large", "/root/new/late"} {
			if !strings.Contains(diff, "+ files: ") || !strings.Contains(diff, name+"\n") && !strings.HasSuffix(diff, name) {
				t.Errorf("not in the difference: %s\n%s", name, diff)
			}
		}
		g.Sh("rm -r /root/new; docker run --rm busybox true")
		g.Same(before)

		g.Sh("modprobe -a openvswitch vport-vxlan vport-geneve vport-gre sch_htb br_netfilter dummy tun")
		other := vm.Clone(t, suite)
		if random := "head -c 16 /dev/urandom | base64"; g.Sh(random) == other.Sh(random) {
			t.Error("two clones draw the same random numbers")
		}
		other.Same(before)
	})
}

// The probes see what is lost, and nothing that is not.
func TestSelfProbes(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		g.Sh(`docker run -d --name c1 busybox sleep inf; docker run -d --name c2 tools sleep inf`)
		address := g.Sh("docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' c2")
		ping, stream := g.Ping("c1", address), g.Stream("c1", "c2", address, 5000)
		g.Sh("systemctl restart systemd-networkd") // something else
		ping.NoneLost()
		stream.Unbroken()

		ping, stream = g.Ping("c1", address), g.Stream("c1", "c2", address, 5001)
		cut := "FORWARD -i docker0 -o docker0 -j DROP"
		g.Sh("modprobe br_netfilter; iptables -I " + cut + "; sleep 2; iptables -D " + cut)
		if got := ping.Stop(); len(got.Lost) < 10 {
			t.Errorf("2 s without a network: %s", got)
		}
		if got := stream.Stop(); got.Error != "" || got.Retransmits == 0 {
			t.Errorf("2 s without a network: %+v", got)
		}

		stream = g.Stream("", "c2", address, 5002)
		g.Sh("kill $(pgrep -f '^stream serve 5002')")
		if got := stream.Stop(); got.Error == "" {
			t.Errorf("the other end died: %+v", got)
		}
	})
}

// Open vSwitch installs without a network, runs on the kernel's datapath, and
// Faucet sets it up.
func TestSelfOpenVSwitch(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		g.Sh(`apt-get -q -y install openvswitch-switch
			dpkg -i /srv/debs/openvswitch-*.deb
			ovs-vsctl add-br br0 -- set bridge br0 other_config:datapath-id=0000000000000001 fail_mode=secure
			ovs-dpctl show | grep -q system@ovs-system
			for n in 1 2; do
				ip netns add n$n
				ip link add v$n type veth peer name eth0 netns n$n
				ip link set v$n up
				ip -n n$n addr add 10.9.0.$n/24 dev eth0
				ip -n n$n link set eth0 up
				ovs-vsctl add-port br0 v$n -- set interface v$n ofport_request=$n
			done
			! ip netns exec n1 ping -c 1 -W 1 10.9.0.2`)
		g.Faucet("dps: {sw: {dp_id: 1, hardware: Open vSwitch, interface_ranges: {1-2: {native_vlan: 100}}}}\n")
		g.Sh("ovs-vsctl set-controller br0 tcp:127.0.0.1:6653")
		g.Await("a ping through Faucet's flows", "ip netns exec n1 ping -c 1 -W 1 10.9.0.2")
	})
}

// Two guests see each other on their cable, and nobody else.
func TestSelfPair(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		a, b := vm.Pair(t, suite, false)
		a.Sh("ip addr add 192.168.7.1/24 dev eth1")
		b.Sh("ip addr add 192.168.7.2/24 dev eth1")
		ping := a.Ping("", "192.168.7.2")
		if got := a.Sh("hostname") + b.Sh("hostname"); got != "ab" {
			t.Errorf("guests are called %q", got)
		}
		ping.NoneLost()
		b.PowerCut()
		b.Booted() // udev has found eth1
		b.Sh("ip link set eth1 address 52:54:00:00:02:02 up; ip addr add 192.168.7.2/24 dev eth1")
		a.Await("the other guest's return", "ping -c 1 -W 1 192.168.7.2")
	})
}
