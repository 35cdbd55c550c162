// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"testing"
)

// TestRestart restarts each unit, as an administrator does and an upgrade, and no
// packet of those who talk is lost.
func TestRestart(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for _, unit := range []string{"dovesnap.service", "dovesnap.socket", "dovesnap-ovsdb.service", "dovesnap-vswitchd.service"} {
			t.Run(unit, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				setUps := coldStarts(g)
				t.Log(g.Sh("date +%T.%3N; systemctl restart " + unit))
				g.Await("all of dovesnap's units", "systemctl is-active dovesnap.service dovesnap.socket dovesnap-ovsdb.service dovesnap-vswitchd.service")
				if unit == "dovesnap-vswitchd.service" {
					setUp(g, setUps)
					t.Log(g.Sh(lastHandOver))
				}
				r.unharmed()
			})
		}
		t.Run("docker", func(t *testing.T) {
			g := g.In(t)
			before := numbers(g)
			g.Sh("systemctl restart docker")
			running(g, "c1", "c2")
			sameNumbers(t, g, before)
			talk(g)
			healthy(g)
		})
	})
}
