// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"dovesnap/vmtest/agent"
)

// Sh runs a shell script in the guest, each command of which must succeed, and
// returns what it printed on stdout and stderr, without the newline at the end.
func (g *Guest) Sh(script string) string {
	g.t.Helper()
	out, code := g.Try("set -e -o pipefail\n" + script)
	if code != 0 {
		g.t.Fatalf("exit code %d in %s:\n%s\nprinted:\n%s", code, g.Suite, script, out)
	}
	return out
}

// Try runs a shell script that may fail, and returns its exit code too.
func (g *Guest) Try(script string) (out string, code int) {
	g.t.Helper()
	return g.within(Patience, script)
}

// Logf tells something in the guest's test.
func (g *Guest) Logf(format string, args ...any) {
	g.t.Helper()
	g.t.Logf(format, args...)
}

// Fatalf ends the guest's test.
func (g *Guest) Fatalf(format string, args ...any) {
	g.t.Helper()
	g.t.Fatalf(format, args...)
}

// Slow is Sh for a script that takes as long as limit.
func (g *Guest) Slow(limit time.Duration, script string) string {
	g.t.Helper()
	out, code := g.within(limit, "set -e -o pipefail\n"+script)
	if code != 0 {
		g.t.Fatalf("exit code %d in %s:\n%s\nprinted:\n%s", code, g.Suite, script, out)
	}
	return out
}

func (g *Guest) within(limit time.Duration, script string) (string, int) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), limit)
	defer cancel()
	var out bytes.Buffer
	code, err := g.m.agent.Run(ctx, agent.Command{Argv: shell(script), Stdout: &out, Stderr: &out})
	if err != nil {
		g.t.Fatalf("cannot run in %s: %v:\n%s\nprinted:\n%s", g.Suite, g.m.because(err), script, out.String())
	}
	return strings.TrimRight(out.String(), "\n"), code
}

// Await runs a script in the guest again and again until it succeeds, and returns
// what it printed then.
func (g *Guest) Await(what, script string) string {
	g.t.Helper()
	// The loop is in the guest: a round trip for each look would be slower than it.
	loop := fmt.Sprintf("until out=$(exec 2>&1\n%s\n); do sleep 0.1; done; printf '%%s\\n' \"$out\"", script)
	ctx, cancel := context.WithTimeout(g.t.Context(), Patience)
	defer cancel()
	var out bytes.Buffer
	code, err := g.m.agent.Run(ctx, agent.Command{Argv: shell(loop), Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		last, _ := g.Try(script)
		g.t.Fatalf("%s did not happen in %s: %v: exit code %d; now: %s", what, g.Suite, err, code, last)
	}
	return strings.TrimRight(out.String(), "\n")
}

// Put copies a file of this machine to the guest, executable if it is.
func (g *Guest) Put(source, target string) {
	g.t.Helper()
	info, err := os.Stat(source)
	if err != nil {
		g.t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		g.t.Fatal(err)
	}
	g.write(target, text, uint32(info.Mode().Perm()))
}

// Write writes a file in the guest.
func (g *Guest) Write(path, text string) {
	g.t.Helper()
	g.write(path, []byte(text), 0o644)
}

func (g *Guest) write(path string, text []byte, mode uint32) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), Patience)
	defer cancel()
	if err := g.m.put(ctx, text, path, mode); err != nil {
		g.t.Fatal(err)
	}
}

// Get returns a file of the guest's.
func (g *Guest) Get(path string) []byte {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), Patience)
	defer cancel()
	var out, problem bytes.Buffer
	code, err := g.m.agent.Run(ctx, agent.Command{Argv: []string{"cat", path}, Stdout: &out, Stderr: &problem})
	if err != nil || code != 0 {
		g.t.Fatalf("cannot read guest's file %q: %v: %s", path, err, problem.String())
	}
	return out.Bytes()
}

// A Task is a script that runs in the guest beside the test.
type Task struct {
	g    *Guest
	call *agent.Call
	out  *lines
}

// Go starts a script in the guest. It ends with the guest's agent, a reboot or a
// power cut if nobody stops it.
func (g *Guest) Go(script string) *Task {
	g.t.Helper()
	out := &lines{grown: make(chan struct{})}
	call, err := g.m.agent.Start(agent.Command{Argv: shell(script), Stdout: out, Stderr: out})
	if err != nil {
		g.t.Fatal(err)
	}
	return &Task{g, call, out}
}

// Output returns what the script has printed so far.
func (k *Task) Output() string { return k.out.String() }

// Stop sends a signal to the script and what it started (SIGINT: as ^C would),
// and waits for its end.
func (k *Task) Stop(signal syscall.Signal) (out string, code int) {
	k.g.t.Helper()
	if err := k.call.Signal(signal); err != nil {
		k.g.t.Fatal(err)
	}
	return k.Wait()
}

// Wait waits for the script's end.
func (k *Task) Wait() (out string, code int) {
	k.g.t.Helper()
	ctx, cancel := context.WithTimeout(k.g.t.Context(), Patience)
	defer cancel()
	code, err := k.call.Wait(ctx)
	if err != nil {
		k.g.t.Fatalf("cannot wait for script: %v; it printed:\n%s", err, k.Output())
	}
	return k.Output(), code
}

// await waits until what the script has printed is as it should be.
func (k *Task) await(limit time.Duration, good func(out string) bool) error {
	timeout := time.After(limit)
	for {
		out, grown := k.out.now()
		if good(out) {
			return nil
		}
		select {
		case <-grown:
		case <-k.call.Done():
			if out, _ := k.out.now(); good(out) {
				return nil
			}
			return errors.New("script has ended")
		case <-timeout:
			return errors.New("it took too long")
		case <-k.g.t.Context().Done():
			return k.g.t.Context().Err()
		}
	}
}

// lines is what a script prints, to be read while it grows.
type lines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed, and replaced, when it grows
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(p)
}

func (l *lines) now() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.grown
}

func (l *lines) String() string {
	text, _ := l.now()
	return strings.TrimRight(text, "\n")
}
