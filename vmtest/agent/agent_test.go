// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A wire is a port: it reads as ended while no client is connected.
type wire struct {
	mu   sync.Mutex
	conn net.Conn
	gone bool // for good
}

var errUnplugged = errors.New("port was unplugged")

func (w *wire) now() (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil, errUnplugged
	}
	if w.conn == nil {
		return nil, io.EOF
	}
	return w.conn, nil
}

func (w *wire) Read(p []byte) (int, error) {
	c, err := w.now()
	if err != nil {
		return 0, err
	}
	return c.Read(p)
}

func (w *wire) Write(p []byte) (int, error) {
	c, err := w.now()
	if err != nil {
		return 0, err
	}
	return c.Write(p)
}

// plug returns the host's end of a new connection to the port.
func (w *wire) plug() net.Conn {
	host, guest := net.Pipe()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = guest
	return host
}

// serve serves a port until the test ends.
func serve(t *testing.T) *wire {
	w := &wire{}
	served := make(chan error)
	go func() { served <- Serve(w) }()
	t.Cleanup(func() {
		w.mu.Lock()
		w.gone = true
		if w.conn != nil {
			w.conn.Close()
		}
		w.mu.Unlock()
		if err := <-served; !errors.Is(err, errUnplugged) {
			t.Errorf("served until: %v", err)
		}
	})
	return w
}

func connect(t *testing.T, conn net.Conn) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := NewClient(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRun(t *testing.T) {
	c := connect(t, serve(t).plug())
	if len(c.BootID) != BootIDSize {
		t.Errorf("boot id %q", c.BootID)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // several chunks
	for _, test := range []struct {
		name, script string
		stdin        []byte
		code         int
		out, err     string
	}{
		{"nothing", "true", nil, 0, "", ""},
		{"streams", "echo one; echo two >&2", nil, 0, "one\n", "two\n"},
		{"exit code", "exit 7", nil, 7, "", ""},
		{"signal", "kill -KILL $$", nil, 137, "", ""},
		{"stdin", "cat", large, 0, string(large), ""},
		{"no stdin", "cat", nil, 0, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, err bytes.Buffer
			code, e := c.Run(t.Context(), Command{
				Argv: []string{"sh", "-c", test.script}, Stdin: test.stdin, Stdout: &out, Stderr: &err,
			})
			if e != nil || code != test.code || out.String() != test.out || err.String() != test.err {
				t.Errorf("got %d, %v, %d bytes, %q; want %d, %d bytes, %q",
					code, e, out.Len(), err.String(), test.code, len(test.out), test.err)
			}
		})
	}
	if _, err := c.Run(t.Context(), Command{Argv: []string{"/no/such/program"}}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a command that does not exist: %v", err)
	}
}

func TestSignal(t *testing.T) {
	c := connect(t, serve(t).plug())
	// At once, before the shell has done anything; and what it started dies too.
	call, err := c.Start(Command{Argv: []string{"sh", "-c", "sleep 60; true"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code, err := call.Wait(t.Context()); code != 137 || err != nil {
		t.Errorf("ended with %d, %v", code, err)
	}
}

func TestContextKills(t *testing.T) {
	c := connect(t, serve(t).plug())
	ctx, cancel := context.WithCancel(t.Context())
	call, err := c.Start(Command{Argv: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := call.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if code, err := c.Run(t.Context(), Command{Argv: []string{"true"}}); code != 0 || err != nil {
		t.Errorf("the next command: %d, %v", code, err)
	}
}

func TestCallsAtTheSameTime(t *testing.T) {
	c := connect(t, serve(t).plug())
	waiting, err := c.Start(Command{Argv: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := c.Run(t.Context(), Command{Argv: []string{"true"}}); code != 0 || err != nil {
		t.Errorf("beside another: %d, %v", code, err)
	}
	c.Close()
	if _, err := waiting.Wait(t.Context()); err == nil {
		t.Error("a call outlived its client without an error")
	}
	if _, err := c.Run(t.Context(), Command{Argv: []string{"true"}}); err == nil {
		t.Error("a closed client runs commands")
	}
}

// What is left of an earlier conversation is skipped, on both ends.
func TestReconnect(t *testing.T) {
	w := serve(t)
	first := w.plug()
	c := connect(t, first)
	if _, err := c.Start(Command{Argv: []string{"sh", "-c", "while echo noise; do :; done"}}); err != nil {
		t.Fatal(err)
	}
	c.Close()

	second := w.plug()
	half := frame{call, 1, []byte(`{"argv":["true"]}`)}.bytes()
	if _, err := second.Write(half[:len(half)-3]); err != nil {
		t.Fatal(err)
	}
	c = connect(t, second)
	var out bytes.Buffer
	if code, err := c.Run(t.Context(), Command{Argv: []string{"echo", "hello"}, Stdout: &out}); code != 0 || err != nil || out.String() != "hello\n" {
		t.Errorf("after reconnecting: %d, %v, %q", code, err, out.String())
	}
}
