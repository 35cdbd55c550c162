// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dovesnap/vmtest/vm"
)

// What can be killed, and how its process id is found.
var victims = map[string]string{
	"dovesnap":     "systemctl show --value -p MainPID dovesnap",
	"ovsdb-server": "cat /run/openvswitch/ovsdb-server.pid",
	"ovs-vswitchd": "cat /run/openvswitch/ovs-vswitchd.pid",
}

// TestKill kills each daemon, and all of them together. No packet of those who talk
// is lost, though Faucet sets up the switch anew when it finds ovs-vswitchd again.
func TestKill(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for _, dying := range [][]string{
			{"dovesnap"}, {"ovsdb-server"}, {"ovs-vswitchd"},
			{"dovesnap", "ovsdb-server"}, {"dovesnap", "ovs-vswitchd"}, {"ovsdb-server", "ovs-vswitchd"},
			{"dovesnap", "ovsdb-server", "ovs-vswitchd"},
		} {
			t.Run(strings.Join(dying, "+"), func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				kill(t, g, "KILL", dying...)
				r.unharmed()
			})
		}
	})
}

// kill sends daemons a signal, all at the same moment, and returns when others are
// in their places, and Faucet has set up a switch that was away.
func kill(t *testing.T, g *vm.Guest, signal string, names ...string) {
	t.Helper()
	setUps, before := coldStarts(g), map[string]string{}
	var all []string
	for _, name := range names {
		before[name] = pid(g, name)
		all = append(all, before[name])
	}
	t.Log(g.Sh(fmt.Sprintf("date +%%T.%%3N; kill -%s %s", signal, strings.Join(all, " "))))
	for _, name := range names {
		another(g, name, before[name])
	}
	if slices.Contains(names, "ovs-vswitchd") {
		setUp(g, setUps)
		t.Log(g.Sh(lastHandOver))
	}
}

func pid(g *vm.Guest, name string) string { return g.Sh(victims[name]) }

// another waits until a daemon's place is taken by another process.
func another(g *vm.Guest, name, before string) {
	g.Await("another "+name, fmt.Sprintf("now=$(%s) && test $now != 0 && test $now != %s && kill -0 $now", victims[name], before))
}

// countColdStarts prints how often Faucet has set up a switch anew.
const countColdStarts = "cat /var/log/faucet/faucet.log 2>/dev/null | grep -c 'Cold start' || true"

// lastHandOver prints how long controllers took to set up a restarted ovs-vswitchd.
const lastHandOver = "journalctl -o cat -u 'dovesnap*' | grep 'had time' | tail -n 1"

func coldStarts(g *vm.Guest) string { return g.Sh(countColdStarts) }

// setUp waits until Faucet has set up a switch once more.
func setUp(g *vm.Guest, before string) {
	g.Await("Faucet's set-up of the switch", fmt.Sprintf("test $(%s) -gt %s", countColdStarts, before))
}
