// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"
	"time"

	"dovesnap/vmtest/vm"
)

// newer makes a package of a higher version of the one that is installed.
const newer = `rm -rf /tmp/newer
	dpkg-deb -R ` + debInGuest + ` /tmp/newer
	sed -i 's/^Version: .*/Version: 99.0/' /tmp/newer/DEBIAN/control
	dpkg-deb -Zgzip -z1 -b /tmp/newer /root/newer.deb
	rm -r /tmp/newer`

// TestUpgrade: no packet is lost, and no container fails to start, while the package
// is upgraded.
func TestUpgrade(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		g.Sh(newer)
		before, daemon := pids(g), g.Sh(victims["dovesnap"])
		r := begin(t, g)
		starts := g.Go(`set -e; n=0
			until [ -e /tmp/upgraded ]; do docker run --rm --net mynet busybox true; n=$((n+1)); done
			echo "$n containers started"`)
		apt(g, "install /root/newer.deb")
		g.Sh("touch /tmp/upgraded")
		out, code := starts.Wait()
		if code != 0 {
			t.Errorf("a container did not start during the upgrade: %s", out)
		}
		t.Log(out)
		r.unharmed()
		if now := g.Sh(victims["dovesnap"]); now == daemon {
			t.Error("the daemon was not restarted")
		}
		if now := pids(g); now != before {
			t.Errorf("Open vSwitch's processes were %q and are %q", before, now)
		}
	})
}

// TestUpgradeOpenVSwitch: the distribution's package disturbs nothing, and "dovesnap
// ovs restart" moves to it without losing a packet or a flow.
func TestUpgradeOpenVSwitch(t *testing.T) {
	const upgrade = "dpkg -i /srv/debs/openvswitch-*.deb"
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		t.Run("package", func(t *testing.T) {
			g := g.In(t)
			before, r := pids(g), begin(t, g)
			t.Log(g.Slow(15*time.Minute, upgrade))
			r.unharmed()
			if now := pids(g); now != before {
				t.Errorf("Open vSwitch's processes were %q and are %q", before, now)
			}
		})
		t.Run("restart, flows from Faucet", func(t *testing.T) {
			g := g.In(t)
			r, setUps := begin(t, g), coldStarts(g)
			restartOVS(t, g)
			setUp(g, setUps)
			r.unharmed()
		})
		g.Sh("docker rm -f c1 c2; docker network rm mynet; systemctl stop faucet")
		t.Run("restart, flows from nobody", func(t *testing.T) {
			g := g.In(t)
			// Secure, for a controller that never comes.
			g.Sh(`docker network create mynet -d ovs -o ovs.bridge.controller=tcp:127.0.0.1:6699
				ovs-ofctl -O OpenFlow13 add-flow $(ovs-vsctl list-br) cookie=7,priority=9,actions=normal`)
			run(g, "mynet", "c1", "c2")
			talk(g)
			before, had := flows(g), numbers(g)
			ping, stream := g.Ping("c1", address(g, "c2")), g.Stream("c1", "c2", address(g, "c2"), 4000)
			restartOVS(t, g)
			ping.NoneLost()
			stream.Unbroken()
			if now := flows(g); now != before {
				t.Errorf("flows; before:\n%s\nnow:\n%s", before, now)
			}
			if now := numbers(g); now != had {
				t.Errorf("numbers; before:\n%s\nnow:\n%s", had, now)
			}
		})
	})
}

// restartOVS has both daemons of Open vSwitch replaced.
func restartOVS(t *testing.T, g *vm.Guest) {
	t.Helper()
	which := "systemctl show --value -p MainPID dovesnap-ovsdb dovesnap-vswitchd | grep ."
	before := g.Sh(which)
	t.Log(g.Sh("date +%T.%3N; dovesnap ovs restart; date +%T.%3N"))
	g.Sh(`set -- ` + strings.ReplaceAll(before, "\n", " ") + `
		! kill -0 $1; ! kill -0 $2`)
	g.Sh("systemctl is-active dovesnap-ovsdb dovesnap-vswitchd")
}
