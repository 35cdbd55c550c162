// SPDX-License-Identifier: Apache-2.0

package vmtest

import "testing"

// TestDatapathDeleted takes the kernel's datapath away under a running switch: all
// traffic ends, and comes back with the numbers that Faucet's rules know.
func TestDatapathDeleted(t *testing.T) {
	const deleted = "ovs-dpctl del-dp system@ovs-system"
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for name, happens := range map[string]string{
			"seen":   deleted,
			"unseen": "systemctl stop dovesnap.service; " + deleted + "; systemctl start dovesnap.service",
		} {
			t.Run(name, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				before, setUps := pid(g, "ovs-vswitchd"), coldStarts(g)
				t.Log(g.Sh("date +%T.%3N; " + happens))
				another(g, "ovs-vswitchd", before)
				setUp(g, setUps)
				t.Log(r.survived())
			})
		}
	})
}

// TestHang stops a daemon without ending it: it is found out and replaced, and those
// who talk notice nothing.
func TestHang(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for _, name := range []string{"ovs-vswitchd", "ovsdb-server"} {
			t.Run(name, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				kill(t, g, "STOP", name)
				r.unharmed()
			})
			// Nor does it matter who looks: another dovesnap finds one that hangs.
			t.Run(name+", found", func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				before, setUps := pid(g, name), coldStarts(g)
				t.Log(g.Sh("date +%T.%3N; kill -STOP " + before + "; systemctl restart dovesnap"))
				another(g, name, before)
				if name == "ovs-vswitchd" {
					setUp(g, setUps)
				}
				r.unharmed()
			})
		}
	})
}
