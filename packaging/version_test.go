// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPackageVersion(t *testing.T) {
	// In the order in which packages must sort.
	ordered := []struct{ described, want string }{
		{"v0.1.0-untagged-9-gabc", "0.1.0~git9.abc"},
		{"v0.1.0-untagged-10-g0bc", "0.1.0~git10.0bc"},
		{"v0.1.0-0-gabc", "0.1.0"},
		{"v1.2.3-rc1-0-gabc", "1.2.3~rc1"},
		{"v1.2.3-rc1-4-gabc", "1.2.3~rc1+git4.abc"},
		{"v1.2.3-rc2-0-gabc", "1.2.3~rc2"},
		{"v1.2.3-0-gabc", "1.2.3"},
		{"v1.2.3-0-gabc-dirty", "1.2.3+dirty"},
		{"v1.2.3-4-gabc", "1.2.3+git4.abc"},
		{"v1.2.3-12-g01c-dirty", "1.2.3+git12.01c+dirty"},
		{"v1.2.4-0-gabc", "1.2.4"},
		{"v1.10.0-0-gabc", "1.10.0"},
	}
	var previous string
	for _, tt := range ordered {
		got, err := packageVersion(tt.described)
		if got != tt.want || err != nil || !legal.MatchString(got) {
			t.Errorf("%s: got %q, %v, want %q", tt.described, got, err, tt.want)
		}
		if previous != "" {
			before(t, previous, got)
		}
		previous = got
	}
	for _, bad := range []string{"", "abc", "v1.2.3", "v1.2.3-rc_1-0-gabc", "version-0-gabc"} {
		if got, err := packageVersion(bad); err == nil {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

// before asks dpkg and rpm themselves.
func before(t *testing.T, a, b string) {
	t.Helper()
	if _, err := exec.LookPath("dpkg"); err == nil {
		if err := exec.Command("dpkg", "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("dpkg: %s is not before %s", a, b)
		}
	}
	if _, err := exec.LookPath("rpm"); err == nil {
		out, err := exec.Command("rpm", "--eval", fmt.Sprintf(`%%{lua:print(rpm.vercmp(%q, %q))}`, a, b)).Output()
		if strings.TrimSpace(string(out)) != "-1" || err != nil {
			t.Errorf("rpm: %s is not before %s: %s, %v", a, b, out, err)
		}
	}
}

// TestReadSource runs on a repository of its own.
func TestReadSource(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	t.Setenv("GIT_COMMITTER_DATE", "2026-01-31T12:00:00Z")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "n")
		t.Setenv("GIT_"+who+"_EMAIL", "e")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if _, err := git(t.Context(), dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	version := func() string {
		t.Helper()
		s, err := readSource(t.Context(), dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC); !s.time.Equal(want) {
			t.Errorf("time %v", s.time)
		}
		hash, err := git(t.Context(), dir, "rev-parse", "--short=12", "HEAD")
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(s.version, hash, "HASH")
	}
	run("init", "--quiet")
	if _, err := readSource(t.Context(), dir, ""); err == nil || strings.Contains(err.Error(), "\n\n") {
		t.Errorf("no commit: %v", err)
	}
	run("commit", "--quiet", "--allow-empty", "-m", "1")
	if got := version(); got != "0.1.0~git1.HASH" {
		t.Error(got)
	}
	run("tag", "v1.2.3")
	run("tag", "vm-template") // no version
	if got := version(); got != "1.2.3" {
		t.Error(got)
	}
	run("commit", "--quiet", "--allow-empty", "-m", "2")
	if got := version(); got != "1.2.3+git1.HASH" {
		t.Error(got)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "17e8")
	if _, err := readSource(t.Context(), dir, "1.0"); err == nil {
		t.Error("accepted a wrong SOURCE_DATE_EPOCH")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if s, err := readSource(t.Context(), t.TempDir(), "1.0"); err != nil || s.version != "1.0" || s.time.Unix() != 1700000000 {
		t.Errorf("without git: %v, %v", s, err)
	}
	for _, bad := range []string{"v1.0", "1.0-1", "1:1.0", "1_0", "1.0^git"} {
		if _, err := readSource(t.Context(), dir, bad); err == nil {
			t.Errorf("accepted version %q", bad)
		}
	}
}

func TestChangelog(t *testing.T) {
	src := source{"1.3.0~git1.abc", time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	releases, err := parseChangelog("# Changelog\n\n## Unreleased\n\nSome words.\n\n- [BUGFIX] An item that is so long that it goes on, and on,\n  in the next line.\n- Another.\n\n## 1.2.3 - 2026-01-31\n\n- First.\n", src)
	if err != nil {
		t.Fatal(err)
	}
	want := `dovesnap (1.3.0~git1.abc) unstable; urgency=medium

  * [BUGFIX] An item that is so long that it goes on, and on, in the next
    line.
  * Another.

 -- ` + maintainer + `  Sun, 01 Mar 2026 08:00:00 +0000

dovesnap (1.2.3) unstable; urgency=medium

  * First.

 -- ` + maintainer + `  Sat, 31 Jan 2026 00:00:00 +0000
`
	if diff := cmp.Diff(want, debianChangelog(releases)); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "# Changelog\n", "## Unreleased\n  lost\n", "## Unreleased\n- x\n## 1.2.3\n", "## Unreleased\n- x\n## 1.2.3 - soon\n"} {
		if _, err := parseChangelog(bad, src); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}
