// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const added = "include-optional:\n  - dovesnap.yaml\n"

func TestInit(t *testing.T) {
	for _, tt := range []struct{ name, before, after, err string }{
		{name: "empty", before: "", after: added},
		{name: "comments", before: "# mine\n\n# end", after: "# mine\n\n# end\n" + added},
		{name: "at the end", before: "dps:\n  a: {dp_id: 1}   # odd  spaces\nacls: {}\n", after: "dps:\n  a: {dp_id: 1}   # odd  spaces\nacls: {}\n" + added},
		{name: "no newline", before: "dps: {}", after: "dps: {}\n" + added},
		{name: "a document", before: "---\ndps: {}\n...\n", after: "---\ndps: {}\n" + added + "...\n"},
		{name: "block list", before: "include-optional:\n- a.yaml   # a\n# b\ndps: {}\n", after: "include-optional:\n- a.yaml   # a\n- dovesnap.yaml\n# b\ndps: {}\n"},
		{name: "indented block list, last", before: "include-optional:\n    - a.yaml\n    - b.yaml", after: "include-optional:\n    - a.yaml\n    - b.yaml\n    - dovesnap.yaml\n"},
		{name: "flow list", before: "include-optional: [a.yaml,b.yaml] # x\ndps: {}\n", after: "include-optional: [dovesnap.yaml, a.yaml,b.yaml] # x\ndps: {}\n"},
		{name: "empty flow list", before: "include-optional: []\n", after: "include-optional: [dovesnap.yaml]\n"},
		{name: "flow list on many lines", before: "include-optional: [\n  a.yaml,\n]\n", after: "include-optional: [dovesnap.yaml, \n  a.yaml,\n]\n"},
		{name: "null", before: "include-optional:   # none\ndps: {}\n", after: "include-optional:   # none\n  - dovesnap.yaml\ndps: {}\n"},
		{name: "beside include", before: "include: [a.yaml]\n", after: "include: [a.yaml]\n" + added},
		{name: "flow mapping", before: "{dps: {}}\n", err: "it is not written in YAML's block style; add include-optional: [dovesnap.yaml] to it yourself"},
		{name: "block scalar last", before: "include-optional:\n  - |-\n    a.yaml\n", err: "add include-optional"},
		{name: "a name", before: "include-optional: a.yaml\n", err: "cannot unmarshal"},
		{name: "an alias", before: "include: &x [a.yaml]\ninclude-optional: *x\n", err: "add include-optional"},
		{name: "broken", before: "dps: [", err: "cannot read Faucet's configuration"},
		{name: "not a mapping", before: "- x\n", err: "cannot"},
		{name: "indented", before: "  dps: {}\n", err: "add include-optional"},
		{name: "windows", before: "dps: {}\r\n", after: "dps: {}\r\n" + added},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"faucet.yaml": tt.before, "a.yaml": "acls: {}\n"})
			config, file := filepath.Join(dir, "faucet.yaml"), filepath.Join(dir, "dovesnap.yaml")
			if err := os.Chmod(config, 0o640); err != nil {
				t.Fatal(err)
			}
			changed, line, err := Init(config, file)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				if read(t, config) != tt.before {
					t.Error("it was changed all the same")
				}
				return
			}
			if err != nil || !changed || !strings.Contains(line, "dovesnap.yaml") {
				t.Fatal(err, changed, line)
			}
			if diff := cmp.Diff(tt.after, read(t, config)); diff != "" {
				t.Error(diff)
			}
			if info, _ := os.Stat(config); info.Mode() != 0o640 {
				t.Errorf("mode %v", info.Mode())
			}
			if changed, line, err := Init(config, file); changed || err != nil || line != config+" includes "+file+" already" {
				t.Errorf("the second time: %t %q %v", changed, line, err)
			}
			if diff := cmp.Diff(tt.after, read(t, config)); diff != "" {
				t.Error("the second time:", diff)
			}
		})
	}
}

func TestInitMissing(t *testing.T) {
	dir := tree(t, nil)
	config, file := filepath.Join(dir, "faucet.yaml"), "/etc/faucet/dovesnap.yaml"
	if changed, _, err := Init(config, file); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := read(t, config); got != "include-optional:\n  - /etc/faucet/dovesnap.yaml\n" {
		t.Error(got)
	}
	if info, _ := os.Stat(config); info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, _, err := Init(filepath.Join(dir, "missing", "faucet.yaml"), file); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
}

func TestInitIncludedElsewhere(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"required":                    {"faucet.yaml": "include: [./x/../dovesnap.yaml]\n", "x/y": ""},
		"from an included file":       {"faucet.yaml": "include: [sub/a.yaml]\n", "sub/a.yaml": "include-optional: [../dovesnap.yaml]\n"},
		"through a link":              {"faucet.yaml": "include: [ours.yaml]\n", "ours.yaml@": "dovesnap.yaml"},
		"a link to the configuration": {"faucet.yaml@": "real/faucet.yaml", "real/faucet.yaml": "include: [../dovesnap.yaml]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, files)
			changed, line, err := Init(filepath.Join(dir, "faucet.yaml"), filepath.Join(dir, "dovesnap.yaml"))
			if changed || err != nil || !strings.HasSuffix(line, "already") {
				t.Errorf("%t %q %v", changed, line, err)
			}
		})
	}
}

func TestInitThroughLink(t *testing.T) {
	dir := tree(t, map[string]string{"faucet.yaml@": "real/faucet.yaml", "real/faucet.yaml": "dps: {}\n"})
	file := filepath.Join(dir, "dovesnap.yaml")
	if changed, _, err := Init(filepath.Join(dir, "faucet.yaml"), file); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := read(t, filepath.Join(dir, "real/faucet.yaml")); got != "dps: {}\ninclude-optional:\n  - "+file+"\n" {
		t.Error(got)
	}
	if to, err := os.Readlink(filepath.Join(dir, "faucet.yaml")); err != nil || to != "real/faucet.yaml" {
		t.Error("the link is gone", to, err)
	}
}
