// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"
	"time"

	"dovesnap/vmtest/vm"
)

const debInGuest = "/root/dovesnap.deb"

// put copies the package under test into the guest.
func put(t *testing.T, g *vm.Guest) {
	t.Helper()
	deb, err := vm.Package(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.Put(deb, debInGuest)
}

// install installs the package under test as the README says, and returns what
// its scripts said.
func install(t *testing.T, g *vm.Guest) string {
	t.Helper()
	put(t, g)
	return said(apt(g, "install "+debInGuest))
}

// apt runs apt-get, which may have to unpack and compile Python.
func apt(g *vm.Guest, command string) string {
	return g.Slow(15*time.Minute, "apt-get -q -y "+command)
}

// said picks from apt's output what the package's scripts said.
func said(out string) string {
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "dovesnap: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// TestInstallUseReboot is what every host sees of dovesnap: from the package on a
// host that has never seen Open vSwitch to a reboot with containers.
func TestInstallUseReboot(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Boot(t, suite)
		t.Log(install(t, g))
		g.Sh("systemctl is-active dovesnap.service dovesnap.socket dovesnap-ovsdb.service dovesnap-vswitchd.service")
		mainJob(g)
		healthy(g)
		before := numbers(g)
		g.Sh("systemctl enable faucet")

		g.Reboot()
		bootDelay(t, g)
		running(g, "c1", "c2")
		talk(g)
		healthy(g)
		onKernel(g)
		sameNumbers(t, g, before)
	})
}

// TestInstallBesideIdleOpenVSwitch: one that nobody uses becomes dovesnap's.
func TestInstallBesideIdleOpenVSwitch(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		apt(g, "install openvswitch-switch")
		g.Sh("systemctl is-active openvswitch-switch ovsdb-server ovs-vswitchd")
		if said := install(t, g); !strings.Contains(said, "from now on dovesnap supervises it instead of openvswitch-switch.service") {
			t.Errorf("the package said %q", said)
		}
		g.Sh("! systemctl is-active openvswitch-switch ovsdb-server ovs-vswitchd; ! systemctl start openvswitch-switch")
		mode(g, "managed")
		mainJob(g)
		healthy(g)
	})
}

// TestInstallBesideUsedOpenVSwitch: one that carries traffic goes on carrying it,
// and dovesnap's networks are beside it.
func TestInstallBesideUsedOpenVSwitch(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		apt(g, "install openvswitch-switch")
		g.Sh(`ip netns add user
			ip link add v0 type veth peer name eth0 netns user
			ip link set v0 up
			ip -n user addr add 10.9.0.2/24 dev eth0
			ip -n user link set eth0 up
			ovs-vsctl add-br br-user -- add-port br-user v0
			ip addr add 10.9.0.1/24 dev br-user
			ip link set br-user up`)
		ping, before := g.Ping("", "10.9.0.2"), pids(g)
		if said := install(t, g); !strings.Contains(said, "it stays with openvswitch-switch.service") {
			t.Errorf("the package said %q", said)
		}
		mode(g, "attached")
		mainJob(g)
		healthy(g)
		ping.NoneLost()
		if now := pids(g); now != before {
			t.Errorf("Open vSwitch's processes were %q and are %q", before, now)
		}

		ports := numbers(g)
		g.Sh("systemctl restart openvswitch-switch")
		talk(g)
		g.Await("the user's bridge", "ping -c 1 -W 1 10.9.0.2")
		healthy(g)
		if now := numbers(g); now != ports {
			t.Errorf("other datapath ids or OpenFlow ports; before:\n%s\nnow:\n%s", ports, now)
		}
		run(g, "mynet", "c3")
		running(g, "c3")
		mode(g, "attached")
	})
}

// mode fails the test unless dovesnap has decided so about Open vSwitch.
func mode(g *vm.Guest, want string) {
	g.Await("mode "+want, "dovesnap status --json | jq -e '.ovs | (.mode == \""+want+"\" and .ready)'")
}
