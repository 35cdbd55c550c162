// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"dovesnap/e2e/host"

	"github.com/google/go-cmp/cmp"
)

// A vantage is a place to ask from.
type vantage struct {
	name string
	ask  func(h *testHost, argv ...string) (string, error)
}

func inContainer(name string) func(*testHost, ...string) (string, error) {
	return func(h *testHost, argv ...string) (string, error) { return h.exec(name, argv...) }
}

var vantages = []vantage{
	{"the outside", (*testHost).outside},
	{"the host", func(h *testHost, argv ...string) (string, error) { return h.try(argv...) }},
	{"the host, at 127.0.0.1 or ::1", func(h *testHost, argv ...string) (string, error) { return h.try(argv...) }},
	{"the container itself", inContainer("web")},
	{"a container of its network", inContainer("near")},
	{"a container of another network", inContainer("far")},
}

// outside is try on the other side of the uplink.
func (h *testHost) outside(argv ...string) (string, error) {
	out, err := h.RunOutside(h.ctx, argv...)
	return strings.TrimSpace(out), err
}

// asks returns the source that the server at proto and address sees.
func (v vantage) asks(h *testHost, proto string, to netip.AddrPort) (string, error) {
	return v.ask(h, peerPath, "ask", proto, to.String())
}

var families = []string{"IPv4", "IPv6"}

// address returns the host's address that a vantage asks.
func (v vantage) address(family string) netip.Addr {
	v4, v6 := host.HostAddress, host.HostAddress6
	if strings.Contains(v.name, "127.0.0.1") {
		v4, v6 = "127.0.0.1", "::1"
	}
	if family == "IPv4" {
		return netip.MustParseAddr(v4)
	}
	return netip.MustParseAddr(v6)
}

// table asks from everywhere and returns who is seen: "vantage, family, proto" →
// name of the source.
func (h *testHost) table(port uint16) map[string]string {
	h.t.Helper()
	names := map[string]string{
		host.HostAddress: "the host", host.HostAddress6: "the host", "127.0.0.1": "loopback", "::1": "loopback",
		host.OutsideAddress: "its own", host.OutsideAddress6: "its own",
	}
	for _, c := range []string{"web", "near", "far"} {
		for _, a := range h.addresses(c) {
			names[a] = "its own"
		}
	}
	for network, name := range map[string]string{"net": "the gateway", "other": "the gateway of its network"} {
		for _, a := range strings.Fields(h.docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", network)) {
			names[strings.Split(a, "/")[0]] = name
		}
	}
	seen := map[string]string{}
	for _, v := range vantages {
		for _, family := range families {
			for _, proto := range []string{"tcp", "udp"} {
				key := v.name + ", " + family + ", " + proto
				answer, err := v.asks(h, proto, netip.AddrPortFrom(v.address(family), port))
				switch {
				case err != nil:
					h.t.Logf("%s: %v", key, err)
					seen[key] = "–"
				case names[answer] == "":
					seen[key] = answer
				default:
					seen[key] = names[answer]
				}
			}
		}
	}
	return seen
}

// serveTable makes the networks and containers of the table.
func (h *testHost) serveTable(create string) {
	h.t.Helper()
	how := strings.Fields(create)
	h.docker(append([]string{"network", "create", "net", "--ipv6", "--subnet=172.20.1.0/24", "--gateway=172.20.1.1", "--subnet=fd00:20:1::/64", "--gateway=fd00:20:1::1"}, how...)...)
	h.docker(append([]string{"network", "create", "other", "--ipv6", "--subnet=172.20.2.0/24", "--gateway=172.20.2.1", "--subnet=fd00:20:2::/64", "--gateway=fd00:20:2::1"}, how...)...)
	h.server("web", "net", "-p", "8080:80/tcp", "-p", "8080:80/udp")
	h.server("near", "net")
	h.server("far", "other")
}

// addresses returns a container's addresses on the one network it is on.
func (h *testHost) addresses(container string) []string {
	h.t.Helper()
	return strings.Fields(h.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}} {{end}}", container))
}

// cell is one of the table's: both protocols, when they are the same.
func cell(seen map[string]string, vantage, family string) string {
	tcp, udp := seen[vantage+", "+family+", tcp"], seen[vantage+", "+family+", udp"]
	if tcp == udp {
		return tcp
	}
	return "tcp: " + tcp + ", udp: " + udp
}

// contenders of the table, with what makes a network of theirs.
var publishers = []struct{ title, create string }{
	{"dovesnap", "-d ovs -o ovs.bridge.mode=nat"},
	{"Docker", "-d bridge"},
}

// Who reaches a published port, and who the container sees, is what
// docs/publishing.md says; and of Docker's own bridge too.
func TestPublishedTable(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.readyToPublish()
		h.dovesnap()
		before := h.snapshot()
		seen := map[string]map[string]string{}
		for _, p := range publishers {
			h.serveTable(p.create)
			seen[p.title] = h.table(8080)
			h.docker("rm", "-f", "web", "near", "far")
			h.docker("network", "rm", "net", "other")
			if p.title == "dovesnap" { // Docker's bridge leaves some of its own
				h.nothingLeftSince(before)
			}
		}

		h.reachedFromEverywhere(seen["dovesnap"])
		var lines []string
		for _, v := range vantages {
			for _, family := range families {
				ours, dockers := cell(seen["dovesnap"], v.name, family), cell(seen["Docker"], v.name, family)
				lines = append(lines, fmt.Sprintf("| %s, %s | %s | %s |", v.name, family, ours, dockers))
			}
		}
		compareDoc(t, h.suite(), lines)
	})
}

// reachedFromEverywhere fails the test where a table has nothing, but for [::1].
func (h *testHost) reachedFromEverywhere(seen map[string]string) {
	h.t.Helper()
	for _, v := range vantages {
		for _, family := range families {
			if got := cell(seen, v.name, family); strings.Contains(got, "–") && !(strings.Contains(v.name, "::1") && family == "IPv6") {
				h.t.Errorf("%s, %s: not reached: %s", v.name, family, got)
			}
		}
	}
}

// dockers are the columns of docs/publishing.md's table, after who asks and what dovesnap does.
var dockers = map[string]int{"forky": 2, "trixie": 3, "bookworm": 4}

// compareDoc fails unless the table in docs/publishing.md says what was seen: lines
// of who asks, dovesnap's and the suite's Docker's.
func compareDoc(t *testing.T, suite string, lines []string) {
	text, err := os.ReadFile("../docs/publishing.md")
	if err != nil {
		t.Error(err)
	}
	var doc []string
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if strings.Contains(line, ", IPv") && len(cells) == 2+len(dockers) {
			doc = append(doc, fmt.Sprintf("| %s | %s | %s |", cells[0], cells[1], cells[dockers[suite]]))
		}
	}
	if diff := cmp.Diff(doc, lines); diff != "" {
		t.Errorf("docs/publishing.md has another table of %s (-doc +seen):\n%s\n%s", suite, diff, strings.Join(lines, "\n"))
	}
}
