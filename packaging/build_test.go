// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Not "update": this module has its own line in make golden.
var rewrite = flag.Bool("rewrite", false, "write testdata anew")

var (
	buildDir string
	program  string // this program, built
)

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "dovesnap-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir, program = dir, filepath.Join(dir, "packaging")
	code := 1
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build this program: %v: %s\n", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// packageIt builds packages as make package does, in a process of its own.
func packageIt(root, out, arch, version string, env ...string) error {
	cmd := exec.Command(program, "-root", root, "-out", out, "-arch", arch, "-version", version)
	cmd.Env = append(append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000"), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot package %s for %s: %w: %s", version, arch, err, said)
	}
	return nil
}

var first, second = once("1.2.3", "amd64,arm64"), once("1.2.4", "amd64")

func once(version, arch string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir := filepath.Join(buildDir, version)
		return dir, packageIt("..", dir, arch, version)
	})
}

// built returns the path of a package of this checkout: format and architecture
// by the end of its name.
func built(t *testing.T, dir func() (string, error), end string) string {
	t.Helper()
	d, err := dir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(d, "*"+end))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %q: %v, %v", end, found, err)
	}
	return found[0]
}

// need skips where a program is missing that make test installs.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed; hack/setup.sh installs it", program)
	}
}

func output(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return string(out)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); make golden writes it anew:\n%s", path, diff)
	}
}

// TestTwiceTheSame builds a copy of the checkout elsewhere, under other
// circumstances: the bytes are the same.
func TestTwiceTheSame(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "elsewhere", "checkout")
	if err := copyCheckout(t.Context(), "..", copied); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	// A shell, for its umask.
	again := exec.Command("sh", "-c", `umask 077; exec "$0" "$@"`, program, "-root", copied, "-out", out, "-arch", "amd64", "-version", "1.2.3")
	again.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "TZ=Asia/Tokyo", "LC_ALL=C", "HOSTNAME=elsewhere", "GOAMD64=v3", "GOFLAGS=-buildvcs=false")
	if said, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for _, end := range []string{"_amd64.deb", ".x86_64.rpm"} {
		here := built(t, first, end)
		there := filepath.Join(out, filepath.Base(here))
		if a, b := digest(t, here), digest(t, there); a != b {
			t.Errorf("%s: %s here, %s elsewhere", filepath.Base(here), a, b)
		}
	}
}

// copyCheckout copies what git has and would add.
func copyCheckout(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	files, err := git(ctx, from, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	names := strings.Split(strings.TrimRight(files, "\x00"), "\x00")
	sort.Sort(sort.Reverse(sort.StringSlice(names))) // also the order in folders is another
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue // deleted, not committed
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, info.Mode().Perm()&0o700); err != nil {
			return err
		}
	}
	return nil
}

func digest(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
