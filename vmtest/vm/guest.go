// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/e2e/host"
)

// Suites are Debian's, oldest first: Docker 20.10, 26.1 and 28.5 with Open
// vSwitch 3.1, 3.5 and 4.0, kernels 6.1, 6.12 and 7.2.
var Suites = host.Suites

// Patience is how long anything that should happen soon may take, on an emulated
// processor of a busy machine. No test waits that long when all is well.
const Patience = 5 * time.Minute

// A Guest is a running virtual machine, whose methods fail the test instead of
// returning an error. It ends with the test.
type Guest struct {
	// Suite is the Debian it runs.
	Suite string

	t testing.TB
	m *machine
}

// Boot returns a guest that has booted, without Open vSwitch (20 to 40 s).
func Boot(t testing.TB, suite string) *Guest {
	t.Helper()
	return begin(t, suite, nil, clean, (*template).boot)
}

// Clone returns a guest like Boot's, continued from a saved one (1 s).
func Clone(t testing.TB, suite string) *Guest {
	t.Helper()
	return begin(t, suite, nil, clean, (*template).start)
}

// Installed returns a guest on which the package under test was installed, as
// Clone does: dovesnap runs, and an Open vSwitch that it manages.
func Installed(t testing.TB, suite string) *Guest {
	t.Helper()
	return begin(t, suite, nil, withPackage, (*template).start)
}

// Prepared returns a guest like Installed's on which prepare was called; that is
// done once for all tests of a program that want the guest of this name.
func Prepared(t testing.TB, suite, name string, prepare func(*Guest)) *Guest {
	t.Helper()
	find := func(ctx context.Context, suite string, progress io.Writer) (*template, error) {
		return prepared(t, ctx, suite, name, prepare, progress)
	}
	return begin(t, suite, nil, find, (*template).start)
}

func withPackage(ctx context.Context, suite string, progress io.Writer) (*template, error) {
	deb, err := Package(ctx)
	if err != nil {
		return nil, err
	}
	return installed(ctx, suite, deb, progress)
}

// Pair returns two guests whose eth1 are the ends of a cable: with dovesnap,
// like Installed's, or without, like Clone's. They differ in their names, a and
// b, and in eth1's MAC address; eth1 is up and has no other address.
func Pair(t testing.TB, suite string, withDovesnap bool) (a, b *Guest) {
	t.Helper()
	find := clean
	if withDovesnap {
		find = withPackage
	}
	dir, err := os.MkdirTemp("", "dovesnap-cable-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ends := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	var guests []*Guest
	for i, name := range []string{"a", "b"} {
		g := begin(t, suite, &link{local: ends[i], remote: ends[1-i]}, find, (*template).start)
		// Copies of one machine, told apart.
		g.Sh(fmt.Sprintf(`hostnamectl hostname %s 2>/dev/null || hostname %[1]s
			ip link set eth1 address 52:54:00:00:02:%02d up`, name, i+1))
		guests = append(guests, g)
	}
	return guests[0], guests[1]
}

// begin starts a guest from a template.
func begin(t testing.TB, suite string, cable *link,
	find func(context.Context, string, io.Writer) (*template, error),
	start func(*template, context.Context, *machine) error) *Guest {
	t.Helper()
	Needs(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // templates may have to be made
	defer cancel()
	from, err := find(ctx, suite, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(from.release)
	dir, err := runDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.remove)
	g := &Guest{Suite: suite, t: t, m: &machine{
		dir: dir.path, kernel: from.kernel, disk: filepath.Join(dir.path, diskFile), link: cable,
	}}
	t.Cleanup(g.end)
	if err := start(from, ctx, g.m); err != nil {
		t.Fatal(err)
	}
	return g
}

// end ends the guest; of one whose test has failed, it keeps and shows the logs.
func (g *Guest) end() {
	if g.t.Failed() {
		g.showLogs()
	}
	if err := g.m.kill(); err != nil {
		g.t.Error(err)
	}
}

// In returns the guest as seen by a subtest, for failures to be its own.
func (g *Guest) In(t testing.TB) *Guest {
	return &Guest{Suite: g.Suite, t: t, m: g.m}
}

// Needs skips a test that was not asked for, and fails one that was, with what
// to do, where the machine lacks something.
func Needs(t testing.TB) {
	t.Helper()
	if os.Getenv("DOVESNAP_VM") == "" {
		t.Skip("boots virtual machines, for minutes: make vmtest (or DOVESNAP_VM=1)")
	}
	if os.Geteuid() != 0 {
		t.Fatal("cannot build virtual machines: needs root")
	}
	var missing []string
	for _, program := range []string{"qemu-system-x86_64", "qemu-img", "mke2fs", "mmdebstrap"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if missing != nil {
		t.Fatalf("cannot run virtual machines: no %s; run hack/setup.sh --vm", strings.Join(missing, ", "))
	}
}
