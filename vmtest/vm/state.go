// SPDX-License-Identifier: Apache-2.0

package vm

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed state.sh
var stateScript string

// State is everything that software can leave behind on a host, as text: links,
// addresses, routes, packet filters, Open vSwitch, units, accounts, packages, and
// files by name, those in /etc with their content's sum.
type State string

// State returns the guest's.
func (g *Guest) State() State {
	g.t.Helper()
	out, code := g.Try(stateScript)
	if code != 0 {
		g.t.Fatalf("cannot look at the guest: exit code %d: %s", code, out)
	}
	return State(out)
}

// Diff returns what is in other and not in s ("+ line") and the reverse ("- line"),
// each below its section's title, and no lines that contain one of those allowed;
// empty when there is no difference.
func (s State) Diff(other State, allowed ...string) string {
	lines := func(s State) []string {
		var section string
		var all []string
		for _, line := range strings.Split(string(s), "\n") {
			if strings.HasPrefix(line, "== ") {
				section = strings.TrimPrefix(line, "== ")
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(line, a) }) {
				all = append(all, section+": "+line)
			}
		}
		return all
	}
	var diff []string
	missing := func(sign string, from, in []string) {
		there := map[string]bool{}
		for _, line := range in {
			there[line] = true
		}
		for _, line := range from {
			if !there[line] {
				diff = append(diff, sign+line)
			}
		}
	}
	before, after := lines(s), lines(other)
	missing("- ", before, after)
	missing("+ ", after, before)
	return strings.Join(diff, "\n")
}

// Same fails the test unless the guest looks as it did before, but for lines that
// contain one of those allowed.
func (g *Guest) Same(before State, allowed ...string) {
	g.t.Helper()
	if diff := before.Diff(g.State(), allowed...); diff != "" {
		g.t.Errorf("guest differs (- before, + now):\n%s", diff)
	}
}
