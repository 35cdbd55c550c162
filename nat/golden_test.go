// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// What other programs leave on a host before us.
var stages = map[string]string{
	"bare": "",
	"docker20": `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -s 192.0.2.66/32 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
`,
	"docker28": `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-USER -i eth0 -s 192.0.2.66/32 -j DROP
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
COMMIT
`,
	// Docker 29 with its nftables backend has tables of its own, which iptables does
	// not show, and no DOCKER-USER; an earlier Docker's policy is still there.
	"docker29nft": `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
`,
	"firewall": `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-forward - [0:0]
-A INPUT -i lo -j ACCEPT
-A FORWARD -j ufw-before-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
`,
}

// Both flavours must print the same, and after the networks have gone the host
// must print what it did before.
func TestGolden(t *testing.T) {
	internal := natA
	internal.Internal = true // changes nothing
	for _, c := range []struct {
		golden, stage string
		nets          []spec.Network
	}{
		{"nat", "bare", []spec.Network{natA}},
		{"nat", "bare", []spec.Network{internal}},
		{"routed", "bare", []spec.Network{routedC}},
		{"flat", "bare", []spec.Network{flatD}},
		{"all", "bare", []spec.Network{natA, natB, routedC, flatD}},
		{"all", "bare", []spec.Network{flatD, routedC, natB, natA}},
		{"dual", "bare", []spec.Network{dualE, dualF, natA}},
		{"routed6", "bare", []spec.Network{dualF}},
		{"nat-docker20", "docker20", []spec.Network{natA}},
		{"nat-docker28", "docker28", []spec.Network{natA}},
		{"nat-firewall", "firewall", []spec.Network{natA}},
	} {
		for _, flavour := range flavours {
			t.Run(c.golden+"/"+flavour, func(t *testing.T) {
				h := newHost(t, flavour)
				h.restore(stages[c.stage])
				before := h.both()
				h.apply(c.nets...)
				got := h.both()
				compareGolden(t, c.golden, got)
				h.apply(c.nets...)
				h.Table = h.table(flavour)
				h.apply(c.nets...)
				if diff := cmp.Diff(got, h.both()); diff != "" {
					t.Error("applying again changed:", diff)
				}
				if h.changed() {
					t.Error("Check sees a change")
				}
				h.apply()
				if diff := cmp.Diff(before, h.both()); diff != "" {
					t.Error("left behind:", diff)
				}
			})
		}
	}
}

func (h *host) both() string { return h.save("iptables") + "# IPv6\n" + h.save("ip6tables") }

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (go test -update writes it): %s", path, diff)
	}
}

// The text is what iptables-restore gets; the golden files show what became of
// it.
func TestRulesString(t *testing.T) {
	compareGolden(t, "rules", Render([]spec.Network{natA, routedC, flatD, dualE}, nil, Links{}).String())
	if !Render(nil, nil, Links{}).V4.empty() || !Render([]spec.Network{flatD}, nil, Links{}).V6.keepsOff() {
		t.Error("rules that no network needs")
	}
}
