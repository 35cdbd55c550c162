// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dovesnap/spec"
)

var update = flag.Bool("update", false, "write the golden files")

// operatorFile is what the operator has in every test that doesn't say otherwise.
const operatorFile = `acls:
  office: [{rule: {actions: {allow: 1}}}]
  guest: [{rule: {eth_type: 0x0806, actions: {allow: 1}}}, {rule: {actions: {allow: 0}}}]
  101: [{rule: {actions: {allow: 1}}}]
  lobby: [{rule: {actions: {allow: 1}}}]
  desk: [{rule: {actions: {allow: 1}}}]
vlans:
  printers: {vid: 300}
  scanners: {vid: 310, acl_out: lobby}
  entrance: {vid: 400, acl_in: lobby}
dps:
  switch: {dp_id: 0x99, hardware: Open vSwitch, interfaces: {1: {native_vlan: printers, acl_in: desk}}}
include-optional: [dovesnap.yaml]
`

func operator(t *testing.T, text string) Others {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "faucet.yaml"), text)
	o, _, err := (&reader{config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml")}).read()
	if err != nil {
		t.Fatal(err)
	}
	o.Where = "faucet.yaml"
	return o
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func network(id string, edit func(*spec.Network)) spec.Network {
	full := spec.NetworkID(strings.Repeat(id, 64)[:64])
	n := spec.Network{
		ID: full, Name: "net-" + id, Bridge: spec.BridgeName(full), Mode: spec.Flat,
		DPID: spec.DerivedDPID(full), Controllers: []spec.Controller{"tcp:127.0.0.1:6653"}, VLAN: 100,
	}
	if edit != nil {
		edit(&n)
	}
	return n
}

func container(n spec.Network, port spec.OFPort, edit func(*spec.Endpoint)) spec.Endpoint {
	e := spec.Endpoint{
		ID:      spec.EndpointID(fmt.Sprintf("%012x%s", port, n.ID)[:64]),
		Network: n.ID, OFPort: port, MAC: spec.MAC(fmt.Sprintf("02:42:0a:00:%02x:%02x", port>>8&255, port&255)),
	}
	if edit != nil {
		edit(&e)
	}
	return e
}

func state(nets []spec.Network, endpoints ...spec.Endpoint) spec.State {
	s := spec.NewState()
	for _, n := range nets {
		s.Networks[n.ID] = n
	}
	for _, e := range endpoints {
		s.Endpoints[e.ID] = e
	}
	return s
}

func number(i int) *int { return &i }

func acl(e spec.Expr) func(*spec.Endpoint) { return func(ep *spec.Endpoint) { ep.ACL = e } }

var renderings = []struct {
	name    string
	wanted  func() Wanted
	nowhere string // not part of a configuration that Faucet takes
}{
	{name: "empty", wanted: func() Wanted { return Wanted{} }, nowhere: "no datapath"},
	{name: "flat", wanted: func() Wanted { return Wanted{State: state([]spec.Network{network("a", nil)})} }},
	{name: "nat", wanted: func() Wanted {
		n := network("a", func(n *spec.Network) { n.Mode, n.NATACL, n.DefaultACL = spec.NAT, "office", "guest/other:office" })
		return Wanted{State: state([]spec.Network{n}, container(n, 1, nil), container(n, 2, acl("net-a:office")), container(n, 3, acl("other:office")), container(n, 4, acl("office,101")))}
	}},
	{name: "routed", wanted: func() Wanted {
		return Wanted{State: state([]spec.Network{network("a", func(n *spec.Network) { n.Mode = spec.Routed })})}
	}},
	{name: "uplinks", wanted: func() Wanted {
		n := network("a", func(n *spec.Network) {
			n.DefaultACL = "guest"
			n.Uplinks = []spec.Uplink{{Name: "eth1", OFPort: 1, ACL: "office", VLAN: 20}, {Name: "eth2", OFPort: 70}, {Name: "eth3", OFPort: 2}, {Name: "copro0", OFPort: 9, Coprocessor: true}}
		})
		return Wanted{State: state([]spec.Network{n}), Foreign: map[spec.NetworkID][]spec.ForeignPort{n.ID: {{Name: "vnet0", OFPort: 5}, {Name: "vnet1", OFPort: 500}}}}
	}},
	{name: "trunks", wanted: func() Wanted {
		n := network("a", nil)
		return Wanted{State: state([]spec.Network{n}, container(n, 1, func(e *spec.Endpoint) { e.VLAN, e.Trunks = 30, []int{10, 20} }), container(n, 2, func(e *spec.Endpoint) { e.VLAN = 10 }), container(n, 3, func(e *spec.Endpoint) { e.VLAN = 20 }))}
	}},
	{name: "no-range", wanted: func() Wanted {
		n := network("a", func(n *spec.Network) { n.Preallocate = number(0) })
		return Wanted{State: state([]spec.Network{n, network("b", func(n *spec.Network) { n.Preallocate = number(0) })}, container(n, 1, nil), container(n, 7, acl("office")))}
	}},
	{name: "range-of-one", wanted: func() Wanted {
		return Wanted{State: state([]spec.Network{network("a", func(n *spec.Network) { n.Preallocate = number(1) })})}
	}},
	{name: "grown", wanted: func() Wanted {
		n := network("a", nil)
		return Wanted{State: state([]spec.Network{n}, container(n, 65, nil), container(n, 60000, nil))}
	}},
	{name: "vlan-out", wanted: func() Wanted {
		out := func(e spec.Expr, vlan int) func(*spec.Network) {
			return func(n *spec.Network) { n.VLANOutACL, n.VLAN = e, vlan }
		}
		return Wanted{State: state([]spec.Network{network("a", out("guest", 100)), network("b", out("office,guest", 200)), network("c", out("guest", 100)), network("d", out("", 100)),
			network("e", out("office", 100)), network("f", out("office", 300)), network("01", out("lobby", 310))})}
	}},
	{name: "unknown-acls", wanted: func() Wanted {
		n := network("a", func(n *spec.Network) {
			n.Mode, n.DefaultACL, n.NATACL, n.VLANOutACL = spec.NAT, "nope", "nope", "nope"
			n.Uplinks = []spec.Uplink{{Name: "eth1", OFPort: 1, ACL: "nope"}}
		})
		return Wanted{State: state([]spec.Network{n}, container(n, 2, acl("office")), container(n, 3, acl("office,nope")), container(n, 4, nil))}
	}},
	{name: "one-acl-twice", wanted: func() Wanted {
		n := network("a", func(n *spec.Network) { n.Mode, n.VLANOutACL, n.NATACL = spec.NAT, "office", "office" })
		m := network("b", func(n *spec.Network) { n.VLAN, n.DefaultACL = 400, "lobby" })
		elsewhere := network("c", func(n *spec.Network) { n.VLAN, n.DefaultACL = 500, "lobby" })
		return Wanted{State: state([]spec.Network{n, m, elsewhere}, container(n, 2, acl("office")), container(n, 3, acl("guest")), container(m, 1, acl("office")), container(m, 2, func(e *spec.Endpoint) { e.ACL, e.VLAN = "office", 100 }))}
	}},
	{name: "clashes", wanted: func() Wanted {
		return Wanted{State: state([]spec.Network{
			network("a", func(n *spec.Network) { n.Name = "switch" }), network("b", func(n *spec.Network) { n.DPID = 0x99 }),
			network("c", func(n *spec.Network) { n.Name = "" }), network("d", func(n *spec.Network) { n.Controllers = nil }), network("e", nil),
		})}
	}},
	{name: "names", wanted: func() Wanted {
		var nets []spec.Network
		for i, name := range strangeNames {
			nets = append(nets, network(fmt.Sprintf("%02x", i), func(n *spec.Network) { n.Name, n.Preallocate = name, number(2) }))
		}
		return Wanted{State: state(nets)}
	}},
	{name: "owner", wanted: func() Wanted { return Wanted{State: state([]spec.Network{network("a", nil)}), Owner: "0123456789ab"} }},
}

// strangeNames are what YAML could take for something else.
var strangeNames = []string{"123", "on", "~", "a: b", "0x1f", "1e3", "1_000", "1:30", "010", "0o17", "null", "yes", "y", "N", "true", "2020-01-01", ".5", "1.", "-", "- a", "#a", "a #b", "'", `"`, `\`, "*a", "&a", "!a", "%a", "@a", "`a", "<<", "=", "{a}", "[a]", "a,b", "?", "? a", "|", ">", "é", "名", "😀", "a\u0085b", "a\u2028b", "\u00a0", "a\tb", " a", "a ", "", "infinity", ".inf", ".nan", "0b1", "+1", "a'b\"c"}

func render(w Wanted, o Others) Config { return Render(w, Memory{}.Cover(w.State), o) }

func TestRender(t *testing.T) {
	o := operator(t, operatorFile)
	for _, tt := range renderings {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.wanted()
			c := render(w, o)
			text := c.String()
			golden(t, filepath.Join("testdata", tt.name+".yaml"), text)
			var problems []string
			for subject, problem := range w.problems(o, c) {
				problems = append(problems, subject+": "+problem+"\n")
			}
			slices.Sort(problems)
			golden(t, filepath.Join("testdata", tt.name+".problems"), strings.Join(problems, ""))
			back, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if again := back.String(); again != text {
				t.Errorf("read back it differs: %s", cmp.Diff(text, again))
			}
			if a, b := c.policies(), back.policies(); !maps.EqualFunc(a, b, slices.Equal[[]policy]) {
				t.Errorf("read back, the ports differ")
			}
			if m := Remember(back).Cover(w.State); Render(w, m, o).String() != text {
				t.Errorf("rendered again from what is remembered of the file it differs")
			}
		})
	}
}

func golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if text == "" {
			os.Remove(file)
			return
		}
		write(t, file, text)
	}
	want, err := os.ReadFile(file)
	if err != nil && text == "" {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("differs from %s (go test -update writes it): %s", file, diff)
	}
}

// TestFaucetTakesIt feeds every golden file to Faucet's own parser.
func TestFaucetTakesIt(t *testing.T) {
	bin := venv(t)
	for _, tt := range renderings {
		if tt.nowhere != "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "faucet.yaml"), operatorFile)
			write(t, filepath.Join(dir, "dovesnap.yaml"), read(t, filepath.Join("testdata", tt.name+".yaml")))
			if refused := parse(t, bin, filepath.Join(dir, "faucet.yaml")); refused != "" {
				t.Error(refused)
			}
		})
	}
}

// TestNamesInFaucet has Faucet's YAML reader tell the names it finds.
func TestNamesInFaucet(t *testing.T) {
	bin := venv(t)
	out := python(t, bin, `
import sys, json
from faucet.config_parser_util import read_config
conf, _ = read_config(sys.argv[1], "x")
print(json.dumps(sorted([str(type(k).__name__) + " " + k if isinstance(k, str) else repr(k) for k in conf["dps"]])))`, "testdata/names.yaml")
	var want []string
	for _, name := range strangeNames {
		if name != "" {
			want = append(want, "str "+name)
		}
	}
	slices.Sort(want)
	if got := decodeJSON(t, out); !slices.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}
