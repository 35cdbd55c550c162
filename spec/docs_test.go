// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"bytes"
	"flag"
	"os"
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
	for _, o := range spec.Options {
		for _, cell := range []string{o.Name, o.Syntax, o.Default, o.Help} {
			if strings.ContainsAny(cell, "|\n") {
				t.Errorf("%s: %q does not fit in a table", o.Name, cell)
			}
		}
		if o.Help == "" {
			t.Errorf("%s has no help", o.Name)
		}
	}
}

func TestWriteOptionsNamesAll(t *testing.T) {
	var b bytes.Buffer
	if err := spec.WriteOptions(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if want := len(spec.Options) + 1; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	if strings.Contains(b.String(), "`") {
		t.Error("Markdown in plain text")
	}
}
