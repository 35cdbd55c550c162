// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// awaitScript is awaitSetUp where ovs-ofctl is a script.
func awaitScript(t *testing.T, cfg Config, script string, bridges ...string) []string {
	t.Helper()
	cfg.BinDirs = []string{t.TempDir()}
	must(t, os.WriteFile(filepath.Join(cfg.BinDirs[0], "ovs-ofctl"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	var waiting []awaited
	for _, name := range bridges {
		s := snapshot{bridge{name: name}, "flow add actions=drop\n"}
		waiting = append(waiting, s.awaited())
	}
	f := &flowStore{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	left := make(chan []string, 1)
	go func() { left <- f.awaitSetUp(t.Context(), &proc{done: make(chan struct{})}, waiting, time.Now()) }()
	select {
	case names := <-left:
		return names
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for ever")
		panic("unreachable")
	}
}

// A switch that hangs is not waited for longer than one that answers.
func TestSetUpWithin(t *testing.T) {
	cfg := testConfig(t)
	cfg.SetUpWithin, cfg.ProbeTimeout = 50*time.Millisecond, time.Minute
	if left := awaitScript(t, cfg, "exec sleep 100", "a", "b"); !slices.Equal(left, []string{"a", "b"}) {
		t.Errorf("left %q", left)
	}
}

func TestSetUpEndsWithTheMisses(t *testing.T) {
	cfg := testConfig(t)
	cfg.Misses = 2
	asked := filepath.Join(t.TempDir(), "asked")
	left := awaitScript(t, cfg, fmt.Sprintf("echo x >>%s; exit 1", asked), "a", "b", "c", "d")
	content, err := os.ReadFile(asked)
	must(t, err)
	if n := strings.Count(string(content), "x"); n != 2 || len(left) != 4 {
		t.Errorf("asked %d times, left %q", n, left)
	}
}
