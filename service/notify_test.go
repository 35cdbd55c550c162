// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"
)

// manager listens where the service manager would and returns what is told.
func manager(t *testing.T) (read func() string) {
	t.Helper()
	path := t.TempDir() + "/notify"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		buffer := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

func notifier(t *testing.T) *Notifier {
	t.Helper()
	n, err := NewNotifier()
	if err != nil || n == nil {
		t.Fatalf("got %v, %v", n, err)
	}
	return n
}

func TestNotifier(t *testing.T) {
	read := manager(t)
	n := notifier(t)
	for _, tt := range []struct {
		send func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{func() error { return n.Status("2 networks,\n5 endpoints") }, "STATUS=2 networks, 5 endpoints"},
		{n.Stopping, "STOPPING=1"},
	} {
		if err := tt.send(); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := NewNotifier()
	if n != nil || err != nil {
		t.Fatalf("got %v, %v", n, err)
	}
	for _, err := range []error{n.Ready(), n.Status("x"), n.Stopping(), n.Watchdog(t.Context(), nil)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestManagerIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/nobody")
	if err := notifier(t).Ready(); err == nil {
		t.Error("no error")
	}
}

// TestWatchdogStarves ticks while the daemon is unhealthy, then healthy: one
// message, not two.
func TestWatchdogStarves(t *testing.T) {
	read := manager(t)
	n := notifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	ticks, fed := make(chan time.Time), make(chan error)
	answers := []bool{false, true}
	go func() {
		fed <- n.feed(ctx, ticks, func() (healthy bool) {
			healthy, answers = answers[0], answers[1:]
			return healthy
		})
	}()
	ticks <- time.Time{}
	ticks <- time.Time{}
	if got := read(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-fed; err != nil {
		t.Error(err)
	}
	if err := n.Status("end"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "STATUS=end" {
		t.Errorf("fed while unhealthy: %q", got)
	}
}

func TestWatchdogInterval(t *testing.T) {
	read := manager(t)
	t.Setenv("WATCHDOG_USEC", strconv.Itoa(int((30 * time.Millisecond).Microseconds())))
	n := notifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan error)
	go func() { fed <- n.Watchdog(ctx, func() bool { return true }) }()
	for range 3 {
		if got := read(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	cancel()
	if err := <-fed; err != nil {
		t.Error(err)
	}

	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := NewNotifier(); err == nil {
		t.Error("a bad interval is accepted")
	}
	t.Setenv("WATCHDOG_USEC", "")
	if err := notifier(t).Watchdog(t.Context(), nil); err != nil {
		t.Errorf("without a watchdog: %v", err)
	}
}
