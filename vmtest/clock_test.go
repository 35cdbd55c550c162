// SPDX-License-Identifier: Apache-2.0

package vmtest

import "testing"

// TestClock sets the clock, forward and back: no saved flow is too old, no
// container forgotten, and nothing waits for tomorrow.
func TestClock(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		for _, jump := range []string{"+1 day", "-1 day", "-1 day"} {
			t.Run(jump, func(t *testing.T) {
				g := g.In(t)
				r := begin(t, g)
				t.Log(g.Sh("date --set='" + jump + "'"))
				kill(t, g, "KILL", "dovesnap", "ovs-vswitchd")
				r.unharmed()
			})
		}
	})
}
