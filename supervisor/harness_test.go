// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// quick are the standard places with timings for a test.
func quick() Config {
	return Config{ProbeEvery: 200 * time.Millisecond, ProbeTimeout: time.Second, FlowsEvery: 100 * time.Millisecond}
}

// running is a Supervisor in its own goroutine, until stopped.
type running struct {
	*Supervisor
	t    *testing.T
	end  context.CancelFunc
	done chan error
	log  *lockedBuffer
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	log := &lockedBuffer{}
	s, err := New(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{s, t, cancel, make(chan error, 1), log}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("log of the supervisor:\n%s", log.String())
		}
	})
	return r
}

func (r *running) awaitReady() {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.done:
		r.t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		r.t.Fatalf("not ready: %+v", r.Status())
	}
}

func (r *running) stop() {
	r.t.Helper()
	r.end()
	must(r.t, <-r.done)
}

func (r *running) child(name string) Child {
	for _, c := range r.Status().Children {
		if c.Name == name {
			return c
		}
	}
	return Child{}
}

// pid is 0 while the child is not ready.
func (r *running) pid(name string) int {
	if c := r.child(name); c.State == Ready {
		return c.PID
	}
	return 0
}

// awaitReplaced waits until the child is ready with another pid, and Changed has
// told so.
func (r *running) awaitReplaced(name string, old int) int {
	r.t.Helper()
	select {
	case <-r.Changed():
	case <-time.After(60 * time.Second):
		r.t.Fatalf("no change reported: %+v", r.Status())
	}
	pid := r.pid(name)
	if pid == 0 || pid == old {
		r.t.Fatalf("%s: pid %d after pid %d: %+v", name, pid, old, r.Status())
	}
	return pid
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func alive(name string) []int { return processes(name) }

// addOurs makes bridge "ours" with a flow, and returns what tells its flows.
func addOurs(t *testing.T) (flows func() string) {
	t.Helper()
	sh(t, "ovs-vsctl", "--timeout=10", "add-br", "ours", "--", "set", "bridge", "ours", "datapath_type=netdev",
		"fail_mode=secure", "protocols=OpenFlow13", "other_config:datapath-id=0000000000000001", "external_ids:dovesnap-network=abc")
	sh(t, "ovs-ofctl", "-O", "OpenFlow13", "add-flow", "ours", "priority=7,in_port=2,actions=drop")
	return func() string {
		return sh(t, "ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", "ours")
	}
}
