// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"testing"

	"dovesnap/vmtest/vm"
)

// TestRemove: the traffic of containers outlives the package, until the next boot,
// from which on Open vSwitch is the distribution's again; and whoever installs it
// again has his networks.
func TestRemove(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		g.Sh("systemctl enable faucet")
		before, had := pids(g), numbers(g)
		r := begin(t, g)
		t.Log(said(apt(g, "remove dovesnap")))
		g.Sh(`! systemctl is-active dovesnap.service dovesnap.socket; ! ls /run/docker/plugins/*.sock
			test "$(systemctl is-enabled openvswitch-switch)" = masked-runtime`)
		t.Log(install(t, g))
		r.unharmed()
		if now := pids(g); now != before {
			t.Errorf("Open vSwitch's processes were %q and are %q", before, now)
		}

		apt(g, "remove dovesnap")
		g.Reboot()
		g.Sh("systemctl is-enabled openvswitch-switch; systemctl is-active openvswitch-switch ovsdb-server ovs-vswitchd; ovs-vsctl --timeout=10 show")
		t.Log(g.Sh("docker ps -a"))
		t.Log(install(t, g))
		mode(g, "managed") // its own bridges are nobody's use of Open vSwitch
		g.Sh("docker start c1 c2")
		running(g, "c1", "c2")
		talk(g)
		healthy(g)
		sameNumbers(t, g, had)
	})
}

// TestPurge: nothing is left of dovesnap's, and Docker's memory of its networks is
// enough to have them again.
func TestPurge(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		apt(g, "install openvswitch-switch")
		g.Write("/etc/faucet/faucet.yaml", faucetYAML)
		used(g)
		pristine := g.State()
		t.Log(install(t, g))
		mainJob(g)
		healthy(g)
		had := numbers(g)

		t.Log(said(apt(g, "purge dovesnap")))
		g.Sh("docker stop -t 0 c1 c2; systemctl stop faucet; rm " + debInGuest)
		g.Same(pristine, faucetLogs)

		t.Log(install(t, g))
		g.Sh("systemctl start faucet")
		// The network comes from Docker's list: that takes a moment, in which a container
		// would be told to try again.
		g.Await("the network", "dovesnap status && dovesnap status --json | jq -e '.networks | length == 1'")
		g.Sh("docker start c1 c2")
		running(g, "c1", "c2")
		talk(g)
		healthy(g)
		sameNumbers(t, g, had)
	})
}

// TestPurgeWithOpenVSwitch: apt removes both packages before it purges either, and the
// programs of Open vSwitch are gone when its bridges are to go.
func TestPurgeWithOpenVSwitch(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		g.Write("/etc/faucet/faucet.yaml", faucetYAML)
		apt(g, "install openvswitch-switch")
		used(g)
		apt(g, "purge openvswitch-switch openvswitch-common")
		g.Sh("rmdir /run/openvswitch") // theirs, which dovesnap does not leave
		pristine := g.State()
		t.Log(install(t, g))
		mainJob(g)
		healthy(g)
		t.Log(said(apt(g, "purge dovesnap openvswitch-switch openvswitch-common")))
		g.Sh("docker stop -t 0 c1 c2; systemctl stop faucet; rm " + debInGuest)
		g.Same(pristine, faucetLogs)
	})
}

// faucetLogs come once Faucet has run long enough.
const faucetLogs = "/var/log/faucet/"

// used has Docker and Open vSwitch leave the traces that they leave by themselves.
func used(g *vm.Guest) {
	g.Sh("docker run --rm busybox true; modprobe -a openvswitch veth; systemctl start faucet; systemctl stop faucet")
}
