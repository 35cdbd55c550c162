// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"
)

// TestDiskFull fills the disk: that of the host with everything on it, and that of
// Open vSwitch's database alone. A network cannot be made then, which one line
// says; nothing half-made stays, those who talk notice nothing, and when there is
// room again it can. The daemons are started again all the same.
func TestDiskFull(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		t.Run("all of it", func(t *testing.T) {
			g := g.In(t)
			r := begin(t, g)
			before := noLeaks(g)
			g.Sh("fill=/var/fill; fallocate -l $(df --output=avail -B1 / | tail -n 1) $fill.1 || true; cat /dev/zero >$fill.2 2>/dev/null || sync")
			// Whose line it is does not matter: Docker writes as well.
			said, code := g.Try("docker network create -d ovs -o ovs.bridge.mode=nat full")
			t.Logf("%d: %s", code, said)
			if code == 0 {
				// Some blocks are always left to somebody: then it has to be whole.
				g.Sh("docker network rm full")
			}
			kill(t, g, "KILL", "dovesnap")
			g.Sh("rm /var/fill.*")
			r.unharmed()
			if after := noLeaks(g); networksOf(after) != networksOf(before) {
				t.Errorf("networks before:\n%s\nand after:\n%s", before, after)
			}
			g.Sh("docker network create -d ovs -o ovs.bridge.mode=nat full; docker run --rm --net full busybox true; docker network rm full")
		})
		t.Run("the database's", func(t *testing.T) {
			g := g.In(t)
			// Its directory becomes a small file system of its own.
			g.Sh(`systemctl stop dovesnap.socket dovesnap dovesnap-vswitchd dovesnap-ovsdb
				dir=$(dirname ` + confDB + `)
				cp -a $dir /root/db
				mount -t tmpfs -o size=512k tmpfs $dir
				cp -a /root/db/. $dir/
				systemctl start dovesnap`)
			healthy(g)
			talk(g)
			r := begin(t, g)
			before := noLeaks(g)
			g.Sh("cat /dev/zero >$(dirname " + confDB + ")/fill 2>/dev/null || true")
			said, code := g.Try("docker network create -d ovs -o ovs.bridge.mode=nat full")
			t.Log(said)
			if code == 0 || strings.Count(said, "\n") > 0 || !strings.Contains(said, "No space left on device") {
				t.Errorf("docker network create: exit code %d, want one line about the disk: %s", code, said)
			}
			if after := noLeaks(g); networksOf(after) != networksOf(before) {
				t.Errorf("networks before:\n%s\nand after:\n%s", before, after)
			}
			// Who dies meanwhile comes back. ovs-vswitchd cannot be told to keep the
			// kernel's flows: some packets are lost until it has its own back.
			for _, name := range []string{"ovsdb-server", "ovs-vswitchd"} {
				kill(t, g, "KILL", name)
				for _, ping := range r.pings {
					ping.Continue(afterwards)
				}
			}
			g.Sh("rm $(dirname " + confDB + ")/fill")
			t.Log(r.survived())
			g.Sh("docker network create -d ovs -o ovs.bridge.mode=nat full; docker run --rm --net full busybox true; docker network rm full")
			noLeaks(g)
		})
	})
}

// networksOf is the part of noLeaks' answer that does not change by itself.
func networksOf(listed string) string {
	networks, _, _ := strings.Cut(listed, "CONTAINER ID")
	return networks
}
