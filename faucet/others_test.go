// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dovesnap/spec"
)

// tree writes files into a new directory; a name that ends in @ is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := realpath(t.TempDir())
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if link, is := strings.CutSuffix(name, "@"); is {
			if err := os.Symlink(text, link); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, name, text)
	}
	return dir
}

func TestReadOthers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Others
		err   string
	}{
		{name: "no file", want: Others{Missing: true}},
		{name: "empty", files: map[string]string{"faucet.yaml": "# nothing yet\n"}},
		{name: "nulls", files: map[string]string{"faucet.yaml": "dps:\nacls:\nvlans:\ninclude:\n"}},
		{name: "all", files: map[string]string{"faucet.yaml": "version: 2\nmeters: {}\nrouters: {}\nacls: {a: [], 1: [], \"2\": []}\nvlans: {office: {vid: 100, acl_in: a}, 200: {}, 300: {vid: 301}}\ndps: {d: {dp_id: 0x10, x: y}, 12: {dp_id: 5}}\n"},
			want: Others{DPs: map[string]spec.DPID{"d": 16, "12": 5}, ACLs: map[string]bool{"a": false, "1": true, "2": false}, VLANs: map[string]int{"office": 100, "200": 200, "300": 301}}},
		{name: "anchors", files: map[string]string{"faucet.yaml": "dps:\n  a: &a {dp_id: 1}\n  b: {<<: *a, dp_id: 2}\n  c: *a\n"},
			want: Others{DPs: map[string]spec.DPID{"a": 1, "b": 2, "c": 1}}},
		{name: "includes", files: map[string]string{
			"faucet.yaml": "include: [sub/acls.yaml]\ninclude-optional: [missing.yaml, /nowhere/x.yaml, broken.yaml, odd.yaml, dovesnap.yaml]\ndps: {d: {dp_id: 1}}\n",
			"broken.yaml": "acls: [", "odd.yaml": "gauge: {}\nacls: {odd: []}\n",
			"sub/acls.yaml": "include: [more.yaml]\nacls: {a: []}\n", "sub/more.yaml": "dps: {d: {dp_id: 7}}\nacls: {b: []}\n",
		}, want: Others{DPs: map[string]spec.DPID{"d": 7}, ACLs: map[string]bool{"a": false, "b": false}, Chain: []string{"faucet.yaml"}}},
		{name: "ours below, through links", files: map[string]string{
			"faucet.yaml": "include: [sub/a.yaml]\n", "sub/a.yaml@": "../real/b.yaml", "real/b.yaml": "include: [../ours.yaml]\n", "ours.yaml@": "dovesnap.yaml",
		}, want: Others{Chain: []string{"faucet.yaml", "real/b.yaml"}}},
		{name: "ours is not read", files: map[string]string{"faucet.yaml": "include: [./dovesnap.yaml]\n", "dovesnap.yaml": "dps: {x: {dp_id: 9}}\n"}, want: Others{Chain: []string{"faucet.yaml"}}},
		{name: "a loop", files: map[string]string{"faucet.yaml": "include: [a.yaml]\n", "a.yaml": "include: [faucet.yaml]\n"}, err: "which was loaded before"},
		{name: "required and missing", files: map[string]string{"faucet.yaml": "include: [a.yaml]\n"}, err: "no such file or directory"},
		{name: "broken", files: map[string]string{"faucet.yaml": "dps: [\n"}, err: "cannot read Faucet's configuration"},
		{name: "unknown key", files: map[string]string{"faucet.yaml": "dpss: {}\n"}, err: `Faucet knows no key "dpss" there`},
		{name: "a list", files: map[string]string{"faucet.yaml": "- a\n"}, err: "cannot unmarshal"},
		{name: "twice", files: map[string]string{"faucet.yaml": "dps: {a: {dp_id: 1}, a: {dp_id: 2}}\n"}, err: "already defined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			r := &reader{config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml")}
			got, changed, err := r.read()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !changed {
				t.Fatal(err, changed)
			}
			want := newOthers(r.config)
			want.add(tt.want)
			want.OnVLANs = got.OnVLANs                                      // see TestOnVLANsAndPorts
			want.PassedOver, want.Missing = got.PassedOver, tt.want.Missing // see TestMissingACLs
			for key := range want.VLANs {
				want.ACLsOut[key] = nil
			}
			for i, file := range tt.want.Chain {
				want.Chain[i] = filepath.Join(dir, file)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if _, changed, _ := r.read(); changed {
				t.Error("read again without a change")
			}
			for file := range r.stamps {
				if _, err := os.Stat(file); err != nil || len(tt.files) == 0 {
					continue
				}
				if err := os.Chtimes(file, mtime(1), mtime(1)); err != nil {
					t.Fatal(err)
				}
				if _, changed, _ := r.read(); !changed {
					t.Errorf("a change of %s went unnoticed", file)
				}
			}
		})
	}
}

// A link that is made to lead elsewhere is a change, though no file is another.
func TestLinkLeadsElsewhere(t *testing.T) {
	dir := tree(t, map[string]string{"one.yaml": "include: [acls.yaml]\n", "two.yaml": "acls: {b: []}\n", "three.yaml": "acls: {c: []}\n"})
	lead := func(link, to string) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, link))
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := &reader{config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml")}
	reads := func(acl string) {
		t.Helper()
		if got, changed, err := r.read(); err != nil || !changed || len(got.ACLs) != 1 || !slices.Contains(slices.Collect(maps.Keys(got.ACLs)), acl) {
			t.Errorf("want %s, changed; got %v, %v, %v", acl, got.ACLs, changed, err)
		}
		if _, changed, _ := r.read(); changed {
			t.Error("read again without a change")
		}
	}
	lead("faucet.yaml", "one.yaml")
	lead("acls.yaml", "two.yaml")
	reads("b")
	lead("acls.yaml", "three.yaml")
	reads("c")
	lead("faucet.yaml", "two.yaml")
	reads("b")
	lead("faucet.yaml", "three.yaml")
	reads("c")
}

// What is said of an ACL that there is not names what may be the cause.
func TestMissingACLs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // DIR is where the files are
	}{
		{"no file", nil, `DIR/faucet.yaml, which should define ACL "inc", does not exist`},
		{"a link to nowhere", map[string]string{"faucet.yaml@": "nowhere"}, `DIR/faucet.yaml, which should define ACL "inc", does not exist`},
		{"empty", map[string]string{"faucet.yaml": ""}, `DIR/faucet.yaml has no ACL "inc": it defines none`},
		{"keys", map[string]string{"faucet.yaml": "acls: {123: [], null: [], Open: [], <nil>: []}"}, `DIR/faucet.yaml has no ACL "inc": it defines 123, <nil>, Open, null (without quotes)`},
		{"not there", map[string]string{"faucet.yaml": "include-optional: [a.yaml, sub/b.yaml]"}, `DIR/faucet.yaml has no ACL "inc": it defines none`},
		{"twice", map[string]string{"faucet.yaml": "include-optional: [a.yaml, a.yaml, faucet.yaml]", "a.yaml": "acls: {x: []}"}, `DIR/faucet.yaml has no ACL "inc": it defines x`},
		{"half-written", map[string]string{"faucet.yaml": "include-optional: [a.yaml]", "a.yaml": "acls:\n  inc: [\n"},
			`DIR/faucet.yaml has no ACL "inc": it defines none; cannot read Faucet's configuration "DIR/a.yaml": yaml: line 2: did not find expected node content`},
		{"in one below", map[string]string{"faucet.yaml": "include: [a.yaml]", "a.yaml": "include-optional: [b.yaml, c.yaml]\nacls: {a: []}", "b.yaml": "include: [d.yaml]\n", "c.yaml": "gauge: {}\n"},
			`DIR/faucet.yaml has no ACL "inc": it defines a; cannot read Faucet's configuration "DIR/d.yaml": no such file or directory; cannot read Faucet's configuration "DIR/c.yaml": Faucet knows no key "gauge" there`},
	} {
		dir := tree(t, tt.files)
		o, _, err := (&reader{config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml")}).read()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.missing([]string{"inc"}); err == nil || err.Error() != strings.ReplaceAll(tt.want, "DIR", dir) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestOnVLANsAndPorts(t *testing.T) {
	o := operator(t, `vlans: {a: {vid: 1, acl_in: x, acl_out: 5}, 2: {acls_in: [x, y], acls_out: [z]}, 3: {}}
dps:
  d: {acls_in: [p], interfaces: {1: {acl_in: q}, two: {number: 2, acls_in: [r, 7]}}, interface_ranges: {5-6: {acl_in: s}}}
  e: {acl_in: t, interfaces: {1: {}}}
`)
	if diff := cmp.Diff(map[int][]ACL{1: {{Name: "x"}, {Name: "5", Number: true}}, 2: {{Name: "x"}, {Name: "y"}, {Name: "z"}}}, o.OnVLANs); diff != "" {
		t.Error(diff)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(o.OnPorts)), " "); got != "7 p q r s t" {
		t.Error(got)
	}
}

// TestIncludesAsFaucet compares with what Faucet itself finds.
func TestIncludesAsFaucet(t *testing.T) {
	bin := venv(t)
	dir := tree(t, map[string]string{
		"faucet.yaml":   "include: [sub/acls.yaml]\ninclude-optional: [missing.yaml, broken.yaml, odd.yaml, again.yaml]\ndps: {d: {dp_id: 1}}\nacls: {z: []}\n",
		"broken.yaml":   "acls: [",
		"odd.yaml":      "gauge: {}\nacls: {odd: []}\n",
		"again.yaml":    "include: [sub/acls.yaml]\nacls: {5: []}\n",
		"sub/acls.yaml": "include: [more.yaml]\nacls: {a: []}\n", "sub/more.yaml": "dps: {d: {dp_id: 7}}\nacls: {b: []}\nvlans: {x: {vid: 5}}\n",
	})
	out := python(t, bin, `
import sys, json
from faucet.config_parser_util import dp_include
top = {k: {} for k in ("acls", "dps", "meters", "routers", "vlans")}
assert dp_include({}, {}, sys.argv[1], "x", top)
print(json.dumps([k + " " + repr(n) for k in ("acls", "dps", "vlans") for n in top[k]] + ["d %d" % top["dps"]["d"]["dp_id"]]))`, filepath.Join(dir, "faucet.yaml"))
	want := []string{"acls 'a'", "acls 'b'", "acls 'z'", "d 7", "dps 'd'", "vlans 'x'"}
	if diff := cmp.Diff(want, decodeJSON(t, out)); diff != "" {
		t.Error("Faucet finds something else:", diff)
	}
	o, _, err := (&reader{config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml")}).read()
	if err != nil {
		t.Fatal(err)
	}
	w := newOthers(o.Where)
	w.add(Others{DPs: map[string]spec.DPID{"d": 7}, ACLs: map[string]bool{"a": false, "b": false, "z": false}, VLANs: map[string]int{"x": 5}, ACLsOut: map[string][]ACL{"x": nil}})
	if len(o.PassedOver) != 3 {
		t.Errorf("passed over: %q", o.PassedOver)
	}
	o.PassedOver = nil
	if diff := cmp.Diff(w, o); diff != "" {
		t.Error(diff)
	}
}

func TestAdmit(t *testing.T) {
	_, cfg := newFake(t)
	c := NewFile(cfg, quiet())
	b := network("b", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "office", 200 })
	onPort := network("c", func(n *spec.Network) { n.DefaultACL, n.VLAN = "101", 300 })
	c.Want(state([]spec.Network{b, onPort}), nil)
	for _, tt := range []struct {
		name string
		edit func(*spec.Network)
		want []string // none: admitted
	}{
		{"plain", nil, nil},
		{"known", func(n *spec.Network) { n.DefaultACL, n.NATACL = "guest,101/x:guest/y:", "dovesnap-deny" }, nil},
		{"dpid", func(n *spec.Network) { n.DPID = 0x99 }, []string{`option ovs.bridge.dpid: its datapath id 0x99 is that of "switch" in `}},
		{"unknown", func(n *spec.Network) {
			n.DefaultACL, n.NATACL, n.VLANOutACL = "no1", "office/z:office,no2", "no3"
			n.Uplinks = []spec.Uplink{{Name: "eth1", ACL: "no4"}}
		}, []string{`option ovs.bridge.default_acl: `, `faucet.yaml has no ACL "no1": it defines 101, desk, guest, lobby, office`, `nat_acl: `, `"no2"`, `vlan_out_acl: `, `"no3"`, `add_ports: `, `"no4"`}},
		{"no controller", func(n *spec.Network) { n.Controllers, n.DPID = nil, 0x99 }, nil},
		{"VLAN with the same acls_out", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "office", 200 }, nil},
		{"VLAN of the operator's", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "office", 300 }, []string{`option ovs.bridge.vlan: vlan_out_acl: `, ` has VLAN 300 itself, as "printers": write acls_out there`}},
		{"VLAN of the operator's, as it is", func(n *spec.Network) { n.VLAN = 300 }, nil},
		{"one ACL on the VLAN and a port", func(n *spec.Network) { n.VLANOutACL, n.DefaultACL = "guest", "101/x:guest" }, []string{`ACL "guest" is on VLAN 100 already, by its vlan_out_acl: Faucet 1.10 fails when one ACL is on a VLAN and on a port: define it twice, by two names`}},
		{"one ACL on the VLAN and another network's port", func(n *spec.Network) { n.VLANOutACL = "101" }, []string{`option ovs.bridge.vlan_out_acl: ACL "101" is on a port, by network "net-c"`}},
		{"one ACL on another network's VLAN and a port", func(n *spec.Network) { n.NATACL = "office" }, []string{`ACL "office" is on VLAN 200 already, by the vlan_out_acl of network "net-b"`}},
		{"one ACL on the VLAN and the operator's port", func(n *spec.Network) { n.VLANOutACL = "desk" }, []string{`vlan_out_acl: ACL "desk" is on a port`}},
		{"one ACL on the operator's VLAN and a port", func(n *spec.Network) { n.DefaultACL = "lobby" }, []string{`ACL "lobby" is on VLAN 400 already, by `}},
		{"our own", func(n *spec.Network) { n.VLANOutACL = "dovesnap-deny" }, []string{`ACL "dovesnap-deny" is on a port, by dovesnap's own`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := network("a", tt.edit)
			n.Name = ""
			err := c.Admit(n)
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
	if err := c.Admit(b); err != nil {
		t.Errorf("a network clashes with itself: %v", err)
	}
	write(t, cfg.Config, "acls: [")
	if err := c.Admit(network("a", nil)); err != nil {
		t.Errorf("without an ACL: %v", err)
	}
	if err := c.Admit(b); err == nil || !strings.Contains(err.Error(), "cannot tell whether there are ACLs office: cannot read") {
		t.Errorf("with an ACL: %v", err)
	}
}

func TestReservedACL(t *testing.T) {
	f, cfg := newFake(t)
	write(t, f.config, "acls: {dovesnap-deny: []}\n")
	c, _ := start(t, cfg)
	c.Want(state([]spec.Network{network("a", nil)}), nil)
	await(t, "the problem", c, func() bool {
		return strings.HasSuffix(c.Problems()["faucet"], "faucet.yaml has one of that name")
	})
	if _, err := os.Stat(f.file); err == nil {
		t.Error("it was written all the same")
	}
}

func TestMemory(t *testing.T) {
	n := network("a", nil)
	none := network("a", func(n *spec.Network) { n.Preallocate = number(0) })
	ports := func(n spec.Network, ports ...spec.OFPort) spec.State {
		var es []spec.Endpoint
		for _, p := range ports {
			es = append(es, container(n, p, nil))
		}
		return state([]spec.Network{n}, es...)
	}
	for _, tt := range []struct {
		name  string
		steps []spec.State
		want  Ports
	}{
		{"default", []spec.State{ports(n)}, Ports{Last: 64}},
		{"full", []spec.State{ports(n, 1, 64)}, Ports{Last: 64}},
		{"grows", []spec.State{ports(n, 64, 65)}, Ports{Last: 128}},
		{"grows twice", []spec.State{ports(n, 65, 129)}, Ports{Last: 256}},
		{"never shrinks", []spec.State{ports(n, 65), ports(n)}, Ports{Last: 128}},
		{"far away", []spec.State{ports(n, 1, 300)}, Ports{Last: 64, Single: []spec.OFPort{300}}},
		{"stays", []spec.State{ports(n, 300, 400), ports(n, 350), ports(n)}, Ports{Last: 64, Single: []spec.OFPort{300, 350, 400}}},
		{"reaches what was far away", []spec.State{ports(n, 100), ports(n, 65)}, Ports{Last: 128}},
		{"not without end", []spec.State{ports(network("a", func(n *spec.Network) { n.Preallocate = number(4096) }), 4097)}, Ports{Last: 4096, Single: []spec.OFPort{4097}}},
		{"less than wanted", []spec.State{ports(n), ports(network("a", func(n *spec.Network) { n.Preallocate = number(10) }))}, Ports{Last: 64}},
		{"none", []spec.State{ports(none)}, Ports{}},
		{"none, with containers", []spec.State{ports(none, 1, 2), ports(none, 2, 3)}, Ports{Single: []spec.OFPort{1, 2, 3}}},
		{"gone in between", []spec.State{ports(n, 65), spec.NewState(), ports(n)}, Ports{Last: 64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Memory{}
			for _, s := range tt.steps {
				m = m.Cover(s)
				again := m.Cover(s)
				if diff := cmp.Diff(m, again); diff != "" {
					t.Errorf("not the same twice: %s", diff)
				}
				m = Remember(Render(Wanted{State: s}, m, newOthers(""))) // as a restart would
			}
			got := m[n.DPID]
			if got.Last != tt.want.Last || cmp.Diff(got.Single, tt.want.Single) != "" {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
