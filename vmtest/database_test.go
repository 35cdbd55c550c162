// SPDX-License-Identifier: Apache-2.0

package vmtest

import "testing"

// confDB is the database's file; in /etc is a link to it.
const confDB = "$(readlink -f /etc/openvswitch/conf.db)"

// TestDatabase damages Open vSwitch's database under ovsdb-server, which dies of it
// sooner or later, and while all of dovesnap is stopped. The containers run on, and
// are back on the network with the numbers they had.
func TestDatabase(t *testing.T) {
	damages := []struct{ name, script string }{
		{"truncated", "truncate --size=-100 " + confDB},
		{"flipped at the end", "printf '\\377' | dd of=" + confDB + " conv=notrunc bs=1 seek=$(($(stat -c %s " + confDB + ") - 50))"},
		{"flipped in the schema", "printf '\\377' | dd of=" + confDB + " conv=notrunc bs=1 seek=500"},
		{"empty", "truncate --size=0 " + confDB},
		{"gone", "rm " + confDB},
	}
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for _, damage := range damages {
			t.Run("running, "+damage.name, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				g.Sh(damage.script)
				kill(t, g, "KILL", "ovsdb-server")
				t.Log(r.survived())
				t.Log(g.Sh("ls -lL $(dirname " + confDB + ")"))
			})
			t.Run("stopped, "+damage.name, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				setUps := coldStarts(g)
				g.Sh("systemctl stop dovesnap.socket dovesnap dovesnap-vswitchd dovesnap-ovsdb\n" +
					damage.script + "\nsystemctl start dovesnap")
				setUp(g, setUps)
				t.Log(r.survived())
				t.Log(g.Sh("ls -lL $(dirname " + confDB + ")"))
			})
		}
	})
}
