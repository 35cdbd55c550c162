// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"regexp"
	"slices"
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
