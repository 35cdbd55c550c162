// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rules that somebody flushed are soon back, and only ours.
func TestPublishedFlushed(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.server("web", "net", "-p", "8080:80", "-p", "127.0.0.1:8081:80")
		p.open(8080)
		whole := h.ours()
		for _, flush := range []string{"iptables -F", "iptables -t nat -F", "nft flush ruleset"} {
			t.Log(flush)
			h.run("iptables", "-A", "INPUT", "-s", "192.0.2.77", "-j", "DROP")
			h.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "192.0.2.78", "-j", "ACCEPT")
			h.run(strings.Fields(flush)...)
			h.run("iptables", "-P", "FORWARD", "DROP")
			foreign := h.foreign()
			eventually(t, patience, "our rules to be back", func() error {
				if diff := cmp.Diff(whole, h.ours()); diff != "" {
					return errorOf(diff)
				}
				return nil
			})
			if diff := cmp.Diff(foreign, h.foreign()); diff != "" {
				t.Errorf("%s: others' rules (-before +after):\n%s", flush, diff)
			}
			p.open(8080)
			if _, err := h.try(peerPath, "ask", "tcp", netip.MustParseAddrPort("127.0.0.1:8081").String()); err != nil {
				t.Error(err)
			}
		}
		h.docker("rm", "-f", "web")
		p.shut(8080)
	})
}

// savedFlows are in the files of a host once dovesnap has looked at a bridge.
const savedFlows = "/run/dovesnap/flows/"

type errorOf string

func (e errorOf) Error() string { return string(e) }

// ours returns the rules in chains of ours; where the jump to them has to be depends
// on what others left.
func (h *testHost) ours() []string { return h.filtered(true) }

// foreign returns everybody else's rules, and policies.
func (h *testHost) foreign() []string { return h.filtered(false) }

func (h *testHost) filtered(ours bool) (rules []string) {
	h.t.Helper()
	counters := regexp.MustCompile(` ?\[\d+:\d+\] ?`)
	for _, command := range []string{"iptables-save", "ip6tables-save"} {
		table := ""
		for _, line := range strings.Split(h.run(command), "\n") {
			if strings.HasPrefix(line, "*") {
				table = line
			}
			line = counters.ReplaceAllString(line, "")
			rule := strings.HasPrefix(line, "-A") || strings.HasPrefix(line, ":")
			accepts := strings.HasPrefix(line, ":") && strings.HasSuffix(line, " ACCEPT") // of tables that are just being made
			jump := strings.Contains(line, "-j DOVESNAP-FORWARD")
			if rule && !jump && strings.Contains(line, "DOVESNAP") == ours && !accepts {
				rules = append(rules, command+" "+table+" "+line)
			}
		}
	}
	slices.Sort(rules)
	return rules
}
