// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// TestSwitchWithoutFaucet ends ovs-vswitchd in every way while Faucet, from which
// the flows of the secure bridge came, is away: those who talk lose no packet.
func TestSwitchWithoutFaucet(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		g.Sh("systemctl stop faucet")
		g.Await("Faucet's end", "test $(ovs-vsctl --bare --columns=is_connected list Controller) = false")
		killed := func(names ...string) (script string) {
			script = "kill -9"
			for _, name := range names {
				script += fmt.Sprintf(" $(%s)", victims[name])
			}
			return script
		}
		for _, event := range []struct{ name, script string }{
			{"killed", killed("ovs-vswitchd")},
			{"killed with dovesnap", killed("ovs-vswitchd", "dovesnap")},
			{"killed with all", killed("ovs-vswitchd", "dovesnap", "ovsdb-server")},
			{"unit restarted", "systemctl restart dovesnap-vswitchd"},
			{"ovs restart", "dovesnap ovs restart"},
		} {
			t.Run(event.name, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				before := pid(g, "ovs-vswitchd")
				t.Log(g.Sh("date +%T.%3N; " + event.script))
				another(g, "ovs-vswitchd", before)
				ready(g)
				r.switched()
				r.lostNothing()
			})
		}
		setUps := coldStarts(g)
		g.Sh("systemctl start faucet")
		setUp(g, setUps)
		healthy(g)
	})
}

// ready waits until both of Open vSwitch's daemons are ready.
func ready(g *vm.Guest) {
	g.Await("Open vSwitch", `dovesnap status --json | jq -e '[.ovs.children[].state == "ready"] | all'`)
}
