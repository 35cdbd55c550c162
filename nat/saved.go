// SPDX-License-Identifier: Apache-2.0

package nat

import (
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

// own returns the part that is ours, by table and chain: our chains, and the
// jumps to them from others.
func (s saved) own() map[string][]string {
	out := map[string][]string{}
	for table, chains := range s {
		for name, rules := range chains {
			key := table + " " + name
			if strings.HasPrefix(name, chainPrefix) {
				out[key] = rules
				continue
			}
			for _, rule := range rules {
				if strings.HasPrefix(rule, "-j "+chainPrefix) {
					out[key] = append(out[key], rule)
				}
			}
		}
	}
	return out
}

func sameChains(a, b map[string][]string) bool { return maps.EqualFunc(a, b, slices.Equal) }

// usedBySomebody reports whether a rule in a chain that is not ours leads to a
// chain other than by a bare jump, which is how ours do.
func (s saved) usedBySomebody(table, name string) bool {
	for from, rules := range s[table] {
		if strings.HasPrefix(from, chainPrefix) {
			continue
		}
		for _, r := range rules {
			if strings.HasSuffix(r, "-j "+name) || strings.HasSuffix(r, "-g "+name) {
				return true
			}
		}
	}
	return false
}

// jump is a rule of ours in a chain that is not.
type jump struct {
	table, from, to string
	place           place
}

func (j jump) rule() string { return "-j " + j.to }

var guardJump = jump{"filter", "FORWARD", guardChain, last}

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
	if len(want.Pre) > 0 {
		// Behind an own redirection of the user's. Docker's ports are other
		// ports: Ports sees to that.
		out = append(out, jump{"nat", "PREROUTING", preChain, anywhere}, jump{"nat", "OUTPUT", preChain, anywhere})
	}
	if len(want.Post) > 0 {
		// After everybody else's: an own rule of the user's for the same
		// packets wins, and Docker's are about Docker's subnets only.
		out = append(out, jump{"nat", "POSTROUTING", postChain, anywhere})
	}
	if guard {
		out = append(out, guardJump)
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
		if _, right, _ := s.position(j); !right || len(s.strays(j.table, j.to, jumps)) > 0 {
			return false
		}
	}
	return true
}

// strays returns the chains, ours excepted, that have a bare jump to one of ours
// and should not, once for each time.
func (s saved) strays(table, to string, jumps []jump) []string {
	var out []string
	for _, from := range slices.Sorted(maps.Keys(s[table])) {
		belongs := slices.ContainsFunc(jumps, func(j jump) bool { return j.table == table && j.to == to && j.from == from })
		if belongs || strings.HasPrefix(from, chainPrefix) {
			continue
		}
		for _, rule := range s[table][from] {
			if rule == "-j "+to {
				out = append(out, from)
			}
		}
	}
	return out
}
