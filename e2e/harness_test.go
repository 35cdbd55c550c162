// SPDX-License-Identifier: Apache-2.0

// Package e2e tests dovesnap as its users meet it: with a real dockerd, Open
// vSwitch and Faucet, on test hosts of package host.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dovesnap/e2e/host"
)

// patience is how long anything that should happen soon may take on a machine
// that is busy with other tests; no test waits that long when all is well.
const patience = 60 * time.Second

// A testHost is a host.Host whose methods fail the test instead of returning an
// error.
type testHost struct {
	*host.Host
	t   testing.TB
	ctx context.Context
}

// newHost returns a booted host of a suite, which ends with the test. When the
// test has failed, what the host's daemons printed is shown.
func newHost(t testing.TB, suite string) *testHost {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, mounts and control groups")
	}
	root, err := host.Rootfs(t.Context(), host.CacheDir(), suite, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	h, err := host.New(host.Options{Root: root, Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			showLogs(t, logs)
		}
	})
	if err := h.Boot(); err != nil {
		t.Fatal(err)
	}
	return &testHost{Host: h, t: t, ctx: t.Context()}
}

// in returns the host as seen by a subtest, for failures to be its own.
func (h *testHost) in(t testing.TB) *testHost {
	return &testHost{Host: h.Host, t: t, ctx: t.Context()}
}

func showLogs(t testing.TB, dir string) {
	const most = 80
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		if len(lines) > most {
			lines = append([]string{"…"}, lines[len(lines)-most:]...)
		}
		t.Logf("== %s\n%s", filepath.Base(file), strings.Join(lines, "\n"))
	}
}

// eachSuite runs test once per suite, as a parallel subtest of its name.
func eachSuite(t *testing.T, test func(t *testing.T, h *testHost)) {
	for _, suite := range host.Suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel() // hosts do not know of each other, and much is waiting
			test(t, newHost(t, suite))
		})
	}
}

// eventually calls check again and again until it returns nil.
func eventually(t testing.TB, timeout time.Duration, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := host.Await(ctx, what, check); err != nil {
		t.Fatal(err)
	}
}

func must[V any](t testing.TB) func(V, error) V {
	return func(value V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// run runs a command of at most patience in the host.
func (h *testHost) run(argv ...string) string {
	h.t.Helper()
	out, err := h.try(argv...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// try is run for a command that may fail.
func (h *testHost) try(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	out, err := h.Run(ctx, argv...)
	return strings.TrimSpace(out), err
}

// docker runs docker with args, which must succeed.
func (h *testHost) docker(args ...string) string {
	h.t.Helper()
	return h.run(append([]string{"docker"}, args...)...)
}

// exec runs argv in a container.
func (h *testHost) exec(container string, argv ...string) (string, error) {
	return h.try(append([]string{"docker", "exec", container}, argv...)...)
}

// dockerd starts dockerd and imports the image busybox, if it is not there yet.
func (h *testHost) dockerd(flags ...string) *host.Process {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	p, err := h.StartDockerd(ctx, flags...)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.docker("images", "-q", "busybox") == "" {
		if err := h.ImportBusybox(ctx); err != nil {
			h.t.Fatal(err)
		}
	}
	return p
}

// faucet starts Faucet with config, the text of a faucet.yaml.
func (h *testHost) faucet(config string, environ ...string) *host.Faucet {
	h.t.Helper()
	venv, err := host.FaucetVenv(h.ctx, host.CacheDir(), os.Stderr)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	f, err := h.StartFaucet(ctx, venv, config, environ...)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// binary builds dovesnap once per run of the tests, with the race detector.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "dovesnap")
	return path, host.Build(context.Background(), "..", true, "build", "-o", path, ".")
})

// buildDir is where tests put what they build; it goes when they have ended.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "dovesnap-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir)
	os.Exit(code)
}

// dovesnap starts "dovesnap run" and waits for its sockets.
func (h *testHost) dovesnap(flags ...string) *host.Process {
	h.t.Helper()
	path := must[string](h.t)(binary())
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	p, err := h.StartDovesnap(ctx, path, flags...)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// kill ends a daemon by SIGKILL.
func (h *testHost) kill(p *host.Process) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	if err := p.Kill(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// stop ends a daemon by SIGTERM and expects a clean exit.
func (h *testHost) stop(p *host.Process) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// powerCycle cuts the host's power and boots it again.
func (h *testHost) powerCycle() {
	h.t.Helper()
	if err := h.PowerOff(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Boot(); err != nil {
		h.t.Fatal(err)
	}
}

// snapshot returns what could leak: host.Host.Snapshot.
func (h *testHost) snapshot() string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	return must[string](h.t)(h.Snapshot(ctx))
}

// nothingLeftSince fails the test unless the host soon looks as it did before,
// but for lines that contain one of those allowed.
func (h *testHost) nothingLeftSince(before string, allowed ...string) {
	h.t.Helper()
	lines := func(snapshot string) []string {
		return slices.DeleteFunc(strings.Split(snapshot, "\n"), func(line string) bool {
			return slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(line, a) })
		})
	}
	eventually(h.t, patience, "nothing to be left on the host", func() error {
		ctx, cancel := context.WithTimeout(h.ctx, patience)
		defer cancel()
		now, err := h.Snapshot(ctx)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(lines(before), lines(now)); diff != "" {
			return fmt.Errorf("host differs (-before +after):\n%s", diff)
		}
		return nil
	})
}
