// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dovesnap/spec"
)

// fakeFaucet serves the metrics of a Faucet that loads its files when it's told to
// by the test.
type fakeFaucet struct {
	t            *testing.T
	config, file string
	server       *httptest.Server

	mu       sync.Mutex
	auto     bool // loads before each answer
	loaded   string
	reason   string // why it refused
	refuse   func(text string) string
	sent     string
	scrapes  int
	stopped  bool
	noMetric bool
}

// newFake returns a Faucet that has an operator's file, and the settings for it.
func newFake(t *testing.T) (*fakeFaucet, FileConfig) {
	t.Helper()
	dir := t.TempDir()
	f := &fakeFaucet{t: t, config: filepath.Join(dir, "faucet.yaml"), file: filepath.Join(dir, "dovesnap.yaml"), sent: "1.0"}
	write(t, f.config, operatorFile)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f, FileConfig{Config: f.config, File: f.file, Metrics: f.server.URL, Reload: ReloadWatch, State: filepath.Join(dir, "state")}
}

func (f *fakeFaucet) set(edit func(*fakeFaucet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f)
}

func (f *fakeFaucet) load() { f.set((*fakeFaucet).loadLocked) }

func (f *fakeFaucet) loadLocked() {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return
	}
	f.reason = ""
	if f.refuse != nil {
		f.reason = f.refuse(string(text))
	}
	if f.reason == "" {
		f.loaded = string(text)
	}
}

func (f *fakeFaucet) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scrapes++
	if f.stopped {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if f.auto {
		f.loadLocked()
	}
	files, hashes, failed := f.config, version("operator's"), 0
	switch {
	case f.reason != "":
		hashes, failed = "", 1
	case f.loaded != "":
		files, hashes = files+","+realpath(f.file), hashes+","+version(f.loaded)
	}
	fmt.Fprintf(w, "# HELP faucet_config_load_error 1 if last attempt to re/load config failed\nfaucet_config_load_error %d.0\n", failed)
	if !f.noMetric {
		fmt.Fprintf(w, "faucet_config_hash_info{config_files=%q,error=%q,hashes=%q} 1.0\n", files, f.reason, hashes)
	}
	fmt.Fprintf(w, "faucet_config_applied %s\n", f.sent)
}

// start runs a Courier until the test ends or stop is called.
func start(t *testing.T, cfg FileConfig) (c *Courier, stop func()) {
	t.Helper()
	c = NewFile(cfg, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return c, stop
}

func quiet() *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// await waits until ok holds, looking when the Courier says that something has
// changed, and now and then.
func await(t *testing.T, what string, c *Courier, ok func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-c.Changed():
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("waited in vain for: %s; status %+v, problems %v", what, c.Status(), c.Problems())
		}
	}
}

func confirmed(c *Courier) func() bool { return func() bool { return c.Status().Confirmed } }

// memBackend is Faucet and its configuration in memory, for the Courier's own
// logic. Each call may fail, and lets during look at the Courier half-way.
type memBackend struct {
	others  Others
	ours    string
	inForce string // what Faucet has
	fail    map[string]bool
	during  func()
	refuses bool
	sent    bool
	rev     int // of others
	writes  int
}

var errFake = errors.New("cannot reach the fake: it's down")

func (m *memBackend) mode() string               { return "memory" }
func (m *memBackend) sweep() error               { return nil }
func (m *memBackend) fresh() (Others, error)     { return m.others, m.failing("fresh") }
func (m *memBackend) tell(context.Context) error { return m.failing("tell") }

func (m *memBackend) failing(what string) error {
	if m.during != nil {
		m.during()
	}
	if m.fail[what] {
		return errFake
	}
	return nil
}

func (m *memBackend) look(context.Context, bool) (seen, error) {
	return seen{others: m.others, ours: m.ours, version: version(m.ours), state: fmt.Sprint(m.rev)}, m.failing("look")
}

func (m *memBackend) check(context.Context, Config, Config) error {
	if m.failing("check") != nil {
		return refusal("the fake says so")
	}
	return nil
}

func (m *memBackend) hint() string { return "it is a fake" }

func (m *memBackend) deliver(_ context.Context, c Config) (delivered, error) {
	if err := m.failing("deliver"); err != nil {
		return delivered{}, err
	}
	before := m.ours
	m.ours = c.String()
	if m.fail["deliver all"] { // one datapath stays as it was
		old, _ := Parse(before)
		for name := range c.DPs {
			delete(c.DPs, name)
			if dp, ok := old.DPs[name]; ok {
				c.DPs[name] = dp
			}
			break
		}
		m.ours = c.String()
	}
	m.writes++
	if m.during != nil {
		m.during()
	}
	if m.fail["deliver late"] {
		return delivered{}, errFake
	}
	var err error
	if m.fail["deliver all"] {
		err = errFake
	}
	return delivered{ours: m.ours, version: version(m.ours)}, err
}

func (m *memBackend) loaded(context.Context) (loaded, error) {
	if err := m.failing("loaded"); err != nil {
		return loaded{}, err
	}
	if m.refuses {
		return loaded{refused: "the fake's reason"}, nil
	}
	return loaded{versions: []string{version(m.inForce)}, sent: m.sent}, nil
}

// settled tells which endpoints of a State are.
func settled(c *Courier, s spec.State) string {
	var out []string
	for _, n := range s.SortedNetworks() {
		for _, e := range s.EndpointsOf(n.ID) {
			out = append(out, fmt.Sprintf("%d:%t", e.OFPort, c.Settled(n, e)))
		}
	}
	return strings.Join(out, " ")
}

func mtime(i int) time.Time { return time.Unix(1700000000+int64(i), 0) }
