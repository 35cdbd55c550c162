// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// transcript runs the commands of testdata/DIR/NAME, which are its lines after
// "$ ", and compares what they and the fake systemctl print. Lines before the
// first command say what it is about.
func transcript(t *testing.T, path string, run func(ctx context.Context, command string) string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", path))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	intro := true
	for _, line := range strings.SplitAfter(string(text), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			intro = false
			b.WriteString(line)
			b.WriteString(indented(run(t.Context(), strings.TrimSpace(command))))
		case intro:
			b.WriteString(line)
		}
	}
	if intro {
		t.Fatal("no command")
	}
	golden(t, path, b.String())
}

func indented(text string) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line != "" {
			b.WriteString("    " + line + "\n")
		}
	}
	return b.String()
}

// listFiles lists what is in a file system, in find's words, but for what is
// bookkeeping of the package manager's and of the test's. Run it at its root.
const listFiles = `find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run/openvswitch -o -path ./fake -o -path ./srv \
	-o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/rpm -o -path ./usr/lib/sysimage \) -prune \
	-o -printf '%p %y %m %u/%g %l\n' | LC_ALL=C sort`

// changes says what differs between two lists of files.
func changes(before, after string) string {
	had, has := set(before), set(after)
	var b strings.Builder
	for _, line := range strings.Split(before, "\n") {
		if !has[line] {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range strings.Split(after, "\n") {
		if !had[line] {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}

func set(lines string) map[string]bool {
	m := map[string]bool{}
	for _, line := range strings.Split(lines, "\n") {
		m[line] = true
	}
	return m
}
