// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovesnap/e2e/host"

	"github.com/google/go-cmp/cmp"
)

// appliers are the packages whose own tests meet the real Open vSwitch, iptables
// and kernel. On a machine without those tools such tests skip; here they meet
// every suite's, and none may skip but those of excused.
var appliers = []string{"link", "nat", "ovs", "supervisor"}

func TestAppliersInEverySuite(t *testing.T) {
	tests := map[string]string{} // package → its compiled tests
	for _, name := range appliers {
		tests[name] = filepath.Join(buildDir, name+".test")
		if err := host.Build(t.Context(), "..", true, "test", "-c", "-o", tests[name], "./"+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, suite := range host.Suites {
		for _, name := range appliers {
			t.Run(suite+"/"+name, func(t *testing.T) {
				t.Parallel() // they mostly wait
				h := newHost(t, suite)
				dir := "/src/" + name
				h.copyTree(filepath.Join("..", name, "testdata"), dir+"/testdata")
				if err := h.Install(tests[name], dir+"/run"); err != nil {
					t.Fatal(err)
				}
				out, err := h.Run(t.Context(), "env", "-C", dir, "./run", "-test.v", "-test.timeout=5m")
				if err != nil {
					t.Errorf("%v\n%s", err, failures(out))
				}
				if bad := unexcused(out); len(bad) > 0 {
					t.Errorf("tests skip: %q\n%s", bad, failures(out))
				}
			})
		}
	}
}

// excused are the tests that cannot run on a test host: what they say when they skip.
var excused = map[string]string{
	"TestPublishedSCTP": "this kernel has no SCTP sockets",
}

var skip = regexp.MustCompile(`(?m)^ +\S+_test\.go:\d+: (.*)\n *--- SKIP: (\S+) `)

// unexcused returns the tests that skip in the output of verbose tests and may not.
func unexcused(out string) (bad []string) {
	for _, m := range skip.FindAllStringSubmatch(out, -1) {
		name, _, _ := strings.Cut(m[2], "/")
		if says, ok := excused[name]; !ok || !strings.HasPrefix(m[1], says) {
			bad = append(bad, m[2]+": "+m[1])
		}
	}
	if all := strings.Count(out, "--- SKIP"); len(bad) == 0 && all != len(skip.FindAllString(out, -1)) {
		bad = append(bad, "some, which say nothing")
	}
	return bad
}

// failures drops what passed from the output of verbose tests.
func failures(out string) string {
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "=== ") && !strings.HasPrefix(trimmed, "--- PASS") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// copyTree copies a directory of the machine, if it is there, and makes the
// host's in any case.
func (h *testHost) copyTree(from, to string) {
	h.t.Helper()
	h.run("mkdir", "-p", to)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return h.WriteFile(filepath.Join(to, relative), string(text), 0o644)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestUnexcused(t *testing.T) {
	const out = `    published_flows_test.go:108: this kernel has no SCTP sockets; more
--- SKIP: TestPublishedSCTP (0.00s)
    coexist_test.go:21: needs ufw (apt install ufw)
--- SKIP: TestUFW (0.00s)
    nat_test.go:78: needs nft (apt install nftables)
    --- SKIP: TestNatives/IPv4 (0.00s)
    published_flows_test.go:108: too lazy
--- SKIP: TestPublishedSCTP (0.00s)
`
	want := []string{"TestUFW: needs ufw (apt install ufw)", "TestNatives/IPv4: needs nft (apt install nftables)", "TestPublishedSCTP: too lazy"}
	if diff := cmp.Diff(want, unexcused(out)); diff != "" {
		t.Error(diff)
	}
	if unexcused("--- SKIP: TestUFW (0.00s)\n") == nil {
		t.Error("a skip without a reason is excused")
	}
}
