// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDebContents has every path with mode and owner, and what dpkg is told.
func TestDebContents(t *testing.T) {
	need(t, "dpkg-deb")
	for _, arch := range []string{"amd64", "arm64"} {
		path := built(t, first, "_"+arch+".deb")
		var b strings.Builder
		for _, line := range strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "--contents", path)), "\n") {
			f := strings.Fields(line)
			fmt.Fprintf(&b, "%s %s %s\n", f[0], f[1], strings.Join(f[5:], " "))
		}
		size := regexp.MustCompile(`(?m)^(Installed-Size: ).*`)
		b.WriteString("\n" + size.ReplaceAllString(output(t, "dpkg-deb", "--field", path), "${1}SIZE"))
		dir := t.TempDir()
		output(t, "dpkg-deb", "--control", path, dir)
		for _, name := range []string{"conffiles", "triggers"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "\n%s:\n%s", name, text)
		}
		golden(t, "contents-deb", strings.Replace(b.String(), "Architecture: "+arch, "Architecture: ARCH", 1))
	}
}

func TestRPMContents(t *testing.T) {
	need(t, "rpm")
	for _, arch := range []string{"x86_64", "aarch64"} {
		path := built(t, first, "."+arch+".rpm")
		var b strings.Builder
		b.WriteString(output(t, "rpm", "-qp", "--queryformat",
			`[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]`, path))
		for _, query := range []string{"--info", "--requires", "--recommends", "--suggests", "--provides", "--conflicts", "--obsoletes", "--triggers"} {
			fmt.Fprintf(&b, "\n%s\n%s", query, output(t, "rpm", "-qp", query, path))
		}
		size := regexp.MustCompile(`(?m)^(Size +: ).*`)
		golden(t, "contents-rpm", strings.Replace(size.ReplaceAllString(b.String(), "${1}SIZE"), "Architecture: "+arch, "Architecture: ARCH", 1))
	}
}

// TestRPMScripts: what rpm runs is what is in rpm/, with a plain sh.
func TestRPMScripts(t *testing.T) {
	need(t, "rpm")
	got := output(t, "rpm", "-qp", "--scripts", built(t, first, ".x86_64.rpm"))
	for script, name := range map[string]string{"post": "postinstall", "preun": "preuninstall", "postun": "postuninstall"} {
		text, err := os.ReadFile(filepath.Join("rpm", script))
		if err != nil {
			t.Fatal(err)
		}
		if want := name + " scriptlet (using /bin/sh):\n" + strings.TrimSpace(string(text)); !strings.Contains(got, want) {
			t.Errorf("no %%%s as in rpm/%s:\n%s", script, script, got)
		}
	}
	if n := strings.Count(got, " scriptlet ("); n != 3 {
		t.Errorf("%d scriptlets:\n%s", n, got)
	}
}

// TestArchitecture: the binary is of the package's architecture and says the
// package's version.
func TestArchitecture(t *testing.T) {
	need(t, "dpkg-deb")
	for arch, machine := range map[string]byte{"amd64": 0x3e, "arm64": 0xb7} { // e_machine, elf(5)
		dir := t.TempDir()
		output(t, "dpkg-deb", "--extract", built(t, first, "_"+arch+".deb"), dir)
		binary, err := os.ReadFile(dir + "/usr/sbin/dovesnap")
		if err != nil {
			t.Fatal(err)
		}
		if binary[18] != machine {
			t.Errorf("%s: machine %#x", arch, binary[18])
		}
		if arch == "amd64" && strings.TrimSpace(output(t, dir+"/usr/sbin/dovesnap", "--version")) != "dovesnap 1.2.3" {
			t.Error("the binary does not say the package's version")
		}
	}
}

// TestLinters: Debian's and RPM's critics have nothing to say that is not answered
// in deb/lintian-overrides and rpm/rpmlint.toml.
func TestLinters(t *testing.T) {
	t.Run("lintian", func(t *testing.T) {
		need(t, "lintian")
		for _, arch := range []string{"amd64", "arm64"} {
			if said := output(t, "lintian", "--allow-root", "--fail-on", "none", built(t, first, "_"+arch+".deb")); said != "" {
				t.Errorf("%s:\n%s", arch, said)
			}
		}
	})
	t.Run("rpmlint", func(t *testing.T) {
		need(t, "rpmlint")
		for _, arch := range []string{"x86_64", "aarch64"} {
			said := output(t, "rpmlint", "--config", "rpm/rpmlint.toml", built(t, first, "."+arch+".rpm"))
			lines := slices.DeleteFunc(strings.Split(said, "\n"), func(l string) bool {
				return !strings.Contains(l, ": W: ") && !strings.Contains(l, ": E: ")
			})
			if len(lines) > 0 || !strings.Contains(said, "1 packages and 0 specfiles checked; 0 errors, 0 warnings") {
				t.Errorf("%s:\n%s", arch, said)
			}
		}
	})
}

var mdLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestLinks: what a page in a package refers to is in the package, at the same place
// as in the checkout.
func TestLinks(t *testing.T) {
	need(t, "dpkg-deb")
	need(t, "rpm")
	const doc = "/usr/share/doc/dovesnap"
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	deb := output(t, "dpkg-deb", "--contents", built(t, first, "_amd64.deb"))
	rpm := output(t, "rpm", "-qpl", built(t, first, ".x86_64.rpm"))
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(page, "../")
		paths := []string{name}
		for _, m := range mdLink.FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, filepath.Join(filepath.Dir(name), m[1]))
		}
		for _, path := range paths {
			if file := doc + "/" + path; !strings.Contains(deb, " ."+file+"\n") || !strings.Contains(rpm, file+"\n") {
				t.Errorf("%s: no package has %s", name, file)
			}
		}
	}
}
