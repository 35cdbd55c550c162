// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dovesnap/e2e/host"

	"github.com/google/go-cmp/cmp"
)

var (
	endpointRules = regexp.MustCompile(`-A DOVESNAP-P-\S+ (.*)-m comment --comment \S+ (-j .*)`)
	anyPort       = regexp.MustCompile(`--dport (\d{5}) `) // that nobody asked for
)

// Every way to write -p, and what comes of it.
func TestPublishedForms(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.server("web", "net", "--expose=82", "-P",
			"-p", host.HostAddress+":8081:80", "-p", "127.0.0.1:8082:80", "-p", "8083-8084:80-81", "-p", "8090-8095:80", "-p", "81", "-p", "8086:80/udp")
		var got, chosen []string
		for _, m := range endpointRules.FindAllStringSubmatch(h.run("iptables-save", "-t", "nat"), -1) {
			rule := m[1] + m[2]
			if any := anyPort.FindStringSubmatch(rule); any != nil {
				chosen = append(chosen, any[1])
			}
			got = append(got, anyPort.ReplaceAllString(rule, "--dport ANY "))
		}
		slices.Sort(got)
		const to = " -j DNAT --to-destination 172.20.1.2:"
		want := []string{
			"-d 127.0.0.1/32 -p tcp -m tcp --dport 8082" + to + "80",
			"-d 198.51.100.1/32 -p tcp -m tcp --dport 8081" + to + "80",
			"-p tcp -m tcp --dport 8083" + to + "80",
			"-p tcp -m tcp --dport 8084" + to + "81",
			"-p tcp -m tcp --dport 8090" + to + "80",
			"-p tcp -m tcp --dport ANY" + to + "81",
			"-p tcp -m tcp --dport ANY" + to + "82",
			"-p udp -m udp --dport 8086" + to + "80",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
		ask := func(from func(...string) (string, error), proto, at string) string {
			seen, err := from(peerPath, "ask", proto, at)
			if err != nil {
				return "–"
			}
			return seen
		}
		for _, port := range append(chosen, "8081", "8083", "8084", "8090") {
			if seen := ask(h.outside, "tcp", host.HostAddress+":"+port); seen != host.OutsideAddress {
				t.Errorf("port %s sees %q", port, seen)
			}
		}
		if seen := ask(h.outside, "udp", host.HostAddress+":8086"); seen != host.OutsideAddress {
			t.Errorf("port 8086/udp sees %q", seen)
		}
		if seen := ask(h.try, "tcp", "127.0.0.1:8082"); seen != "172.20.1.1" {
			t.Errorf("port 8082 of loopback sees %q", seen)
		}
		for what, seen := range map[string]string{
			"a port of 127.0.0.1, from outside":      ask(h.outside, "tcp", host.HostAddress+":8082"),
			"a port of the uplink's, on 127.0.0.1":   ask(h.try, "tcp", "127.0.0.1:8081"),
			"a tcp port by udp":                      ask(h.outside, "udp", host.HostAddress+":8083"),
			"a port that was not published":          ask(h.outside, "tcp", host.HostAddress+":8085"),
			"the second port of a range that may do": ask(h.outside, "tcp", host.HostAddress+":8091"),
		} {
			if seen != "–" {
				t.Errorf("%s is reached, as %s", what, seen)
			}
		}
		p.ends("web")
	})
}

// A port that somebody has is refused at docker run, by name and address, and
// nothing is half made.
func TestPublishedBusy(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		process, err := h.Start("holder", peerPath, "serve", "8070")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "a process to listen", func() error {
			_, err := h.try(peerPath, "ask", "tcp", "127.0.0.1:8070")
			return err
		})
		p.server("ours", "net", "-p", "8071:80")
		p.server("dockers", "bridge", "-p", "8072:80")
		p.server("one", "net", "-p", "127.0.0.1:8073:80")
		before := h.snapshot()
		for _, c := range []struct {
			what, flag string
			want       []string
		}{
			{"a process", "8070:80", []string{"0.0.0.0:8070/tcp", "(peer)"}},
			{"a process, at one address", host.HostAddress + ":8070:80", []string{host.HostAddress + ":8070/tcp", "(peer)"}},
			{"a container of ours", "8071:80", []string{"0.0.0.0:8071/tcp", `container "ours"`}},
			{"a container on Docker's bridge", "8072:80", []string{"0.0.0.0:8072/tcp", "docker-proxy"}},
			{"one address of ours", "8073:80", []string{"0.0.0.0:8073/tcp", `container "one"`}},
			{"an address that the host has not got", "203.0.113.5:8074:80", []string{"203.0.113.5:8074/tcp", "the host has no such address"}},
		} {
			t.Log(c.what)
			// The first would do: it has to go with the second.
			err := h.tryServer("refused", "net", "-p", "8069:80", "-p", c.flag)
			if err == nil {
				t.Errorf("%s: not refused", c.what)
			}
			for _, want := range c.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the message lacks %s: %v", c.what, want, err)
				}
			}
			if running := h.docker("inspect", "-f", "{{.State.Running}}", "refused"); running != "false" {
				t.Errorf("%s: refused, but running: %s", c.what, running)
			}
			h.docker("rm", "-f", "refused")
			h.nothingLeftSince(before)
			p.shut(8069)
		}
		// The other way round: what we have, Docker's bridge does not get.
		if err := h.tryServer("refused", "bridge", "-p", "8071:80"); err == nil || !strings.Contains(err.Error(), "8071") {
			t.Errorf("Docker's bridge: %v", err)
		}
		h.docker("rm", "-f", "refused", "dockers")
		p.open(8071)
		h.kill(process)
		p.server("late", "net", "-p", "8070:80") // free again
		p.open(8070)
		p.ends("late", "ours", "one")
	})
}

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
