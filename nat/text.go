// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// chain is a chain of ours with its contents.
type chain struct {
	table, name string
	rules       []string
}

// chains returns the family's chains, each before those that jump to it.
func (f Family) chains() []chain {
	out := []chain{
		{"raw", rawChain, f.Raw},
		{"filter", isolateChain, f.Isolate},
		{"filter", forwardChain, f.Forward},
	}
	pre := slices.Clone(f.Pre)
	for _, name := range slices.Sorted(maps.Keys(f.Published)) {
		out = append(out, chain{"nat", name, f.Published[name]})
		pre = append(pre, "-j "+name)
	}
	out = append(out, chain{"nat", preChain, pre}, chain{"nat", postChain, f.Post})
	return slices.DeleteFunc(out, func(c chain) bool { return len(c.rules) == 0 })
}

func (f Family) empty() bool { return len(f.chains()) == 0 }

func (f Family) equal(o Family) bool {
	return maps.EqualFunc(f.Published, o.Published, slices.Equal) && slices.EqualFunc(f.chains(), o.chains(), func(a, b chain) bool {
		return a.table == b.table && a.name == b.name && slices.Equal(a.rules, b.rules)
	})
}

// String returns the text that iptables-restore --noflush turns into exactly
// these chains.
func (f Family) String() string { return restoreText(f.chains()) }

// String returns both families' text, for people.
func (r Rules) String() string {
	return "# iptables-restore --noflush\n" + r.V4.String() + "# ip6tables-restore --noflush\n" + r.V6.String()
}

// restoreText replaces the chains: declaring one empties it, and each table is
// committed as a whole.
func restoreText(chains []chain) string {
	var b strings.Builder
	for i := 0; i < len(chains); {
		end := i
		for end < len(chains) && chains[end].table == chains[i].table {
			end++
		}
		fmt.Fprintf(&b, "*%s\n", chains[i].table)
		for _, c := range chains[i:end] {
			fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
		}
		for _, c := range chains[i:end] {
			for _, r := range c.rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.name, r)
			}
		}
		b.WriteString("COMMIT\n")
		i = end
	}
	return b.String()
}

// removeText removes chains of one table, which may jump to one another.
func removeText(table string, names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", table)
	for _, option := range []string{"-F", "-X"} {
		for _, name := range names {
			fmt.Fprintf(&b, "%s %s\n", option, name)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
