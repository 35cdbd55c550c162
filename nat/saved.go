// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// saved is what iptables-save printed: table, chain, and the chain's rules
// without "-A <chain> ".
type saved map[string]map[string][]string

// parse reads iptables-save's output. Counters, policies and comment lines are
// left out: none of them is ours.
func parse(text string) saved {
	s := saved{}
	var table map[string][]string
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			table = map[string][]string{}
			s[line[1:]] = table
		case table == nil:
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			table[name] = nil
		case strings.HasPrefix(line, "-A "):
			name, rule, _ := strings.Cut(line[len("-A "):], " ")
			table[name] = append(table[name], rule)
		}
	}
	return s
}

func (s saved) has(table, chain string) bool {
	_, ok := s[table][chain]
	return ok
}

// own returns the part that is ours: our chains and the jumps to them.
func (s saved) own() string {
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(s)) {
		for _, chain := range slices.Sorted(maps.Keys(s[table])) {
			ours := strings.HasPrefix(chain, chainPrefix)
			if ours {
				fmt.Fprintf(&b, "%s :%s\n", table, chain)
			}
			for _, rule := range s[table][chain] {
				if ours || strings.HasPrefix(rule, "-j "+chainPrefix) {
					fmt.Fprintf(&b, "%s -A %s %s\n", table, chain, rule)
				}
			}
		}
	}
	return b.String()
}

// jump is a rule of ours in a chain that is not.
type jump struct {
	table, from, to string
	place           place
}

func (j jump) rule() string { return "-j " + j.to }

// place says where in a foreign chain a jump belongs.
type place int

const (
	first        place = iota // inserted on top; others may insert above it later
	anywhere                  // appended; its position does not matter
	beforeReturn              // the last rule; before a bare RETURN, after which nothing counts
	last                      // the last rule
)

// jumps returns the jumps that belong to the chains.
//
// Docker creates DOCKER-USER for rules that go before its own and never touches
// what is in it. Ours go at its end, so that the user's, which are what the
// chain is for, apply to our networks too. A DOCKER-USER that FORWARD does not
// jump to (Docker gone, or the table flushed) decides nothing.
func (s saved) jumps(want Family, guard bool) []jump {
	var out []jump
	if len(want.Raw) > 0 {
		out = append(out, jump{"raw", "PREROUTING", rawChain, first})
	}
	if len(want.Forward) > 0 {
		j := jump{"filter", "FORWARD", forwardChain, first}
		if s.has("filter", "DOCKER-USER") && slices.Contains(s["filter"]["FORWARD"], "-j DOCKER-USER") {
			j.from, j.place = "DOCKER-USER", beforeReturn
		}
		out = append(out, j)
	}
	if len(want.Post) > 0 {
		// After everybody else's: an own rule of the user's for the same
		// packets wins, and Docker's are about Docker's subnets only.
		out = append(out, jump{"nat", "POSTROUTING", postChain, anywhere})
	}
	if guard {
		out = append(out, jump{"filter", "FORWARD", guardChain, last})
	}
	return out
}

// position returns how often the jump is in its chain, whether it is there once
// and where it should be, and else the number to insert it at; 0 appends.
func (s saved) position(j jump) (count int, right bool, at int) {
	rules := s[j.table][j.from]
	for _, r := range rules {
		if r == j.rule() {
			count++
		}
	}
	end := len(rules)
	switch j.place {
	case first:
		return count, count == 1, 1
	case anywhere:
		return count, count == 1, 0
	case beforeReturn:
		if i := slices.Index(rules, "-j RETURN"); i >= 0 {
			end, at = i, i+1
		}
	}
	return count, count == 1 && end > 0 && rules[end-1] == j.rule(), at
}

// inPlace reports whether every jump is where it should be and nowhere else.
func (s saved) inPlace(jumps []jump) bool {
	for _, j := range jumps {
		if _, right, _ := s.position(j); !right || len(s.strays(j)) > 0 {
			return false
		}
	}
	return true
}

// strays returns the other chains of the table that have the jump, once for
// each time.
func (s saved) strays(j jump) []string {
	var out []string
	for _, chain := range slices.Sorted(maps.Keys(s[j.table])) {
		for _, rule := range s[j.table][chain] {
			if rule == j.rule() && chain != j.from {
				out = append(out, chain)
			}
		}
	}
	return out
}
