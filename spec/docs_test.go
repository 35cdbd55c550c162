// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"
)

var update = flag.Bool("update", false, "write docs/options.md anew")

// TestOptionsPage holds docs/options.md to the table that parses.
func TestOptionsPage(t *testing.T) {
	const page = "../docs/options.md"
	var got bytes.Buffer
	if err := spec.WriteOptionsMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s is not what the option table says; run: go test ./spec -update", page)
	}
}

// A cell with a bar or a line break would break the page's table.
func TestOptionTexts(t *testing.T) {
	check := func(name, help string, cells ...string) {
		for _, cell := range append(cells, name, help) {
			if strings.ContainsAny(cell, "|\n") {
				t.Errorf("%s: %q does not fit in a table", name, cell)
			}
		}
		if help == "" {
			t.Errorf("%s has no help", name)
		}
	}
	for _, o := range spec.Options {
		check(o.Name, o.Help, o.Syntax, o.Default, o.Faucet, o.Example)
	}
	for _, k := range spec.PortKeys {
		check(k.Name, k.Help, k.Syntax, k.Faucet, k.Example)
	}
}

// What is not available yet is this and nothing else.
func TestLater(t *testing.T) {
	var got []string
	for _, o := range spec.Options {
		if o.Later {
			got = append(got, o.Name)
		}
	}
	for _, k := range spec.PortKeys {
		if k.Later {
			got = append(got, k.Name)
		}
	}
	want := []string{"ovs.bridge.dhcp", "ovs.bridge.lbport", "ovs.bridge.mirror_tunnel_vid", "dovesnap.faucet.mirror"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWriteOptionsNamesAll(t *testing.T) {
	var b bytes.Buffer
	if err := spec.WriteOptions(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if want := len(spec.Options) + len(spec.PortKeys) + 3; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	for _, k := range spec.PortKeys {
		if !strings.Contains(b.String(), "\n"+k.Name+" ") {
			t.Errorf("%s is missing", k.Name)
		}
	}
	if strings.Contains(b.String(), "`") {
		t.Error("Markdown in plain text")
	}
}
