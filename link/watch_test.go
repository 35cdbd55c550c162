// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	n, l, _ := migrating(t)
	addBridge(t, "br9")
	must(t, ensure(l, deadline(t), n))
	ctx, cancel := context.WithCancel(deadline(t))
	changed := make(chan struct{}, 1)
	done := elsewhere(t, func() error { l.Watch(ctx, changed); return nil })
	heard := func() bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	// The subscription begins at some moment.
	for !heard() {
		if ctx.Err() != nil {
			t.Fatal("an address on an uplink is not noticed")
		}
		ip(t, "addr add 192.0.2.5/24 dev eth7", "addr del 192.0.2.5/24 dev eth7")
	}
	for heard() {
	}
	ip(t, "addr add 192.0.2.5/24 dev other", "addr add 192.0.2.6/24 dev br9", "addr add 192.0.2.7/24 dev lo")
	for heard() {
		t.Error("an address elsewhere counts")
	}
	cancel()
	must(t, <-done)
}

func TestCalmer(t *testing.T) {
	var c calmer
	now := time.Now()
	for k, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
		got := c.wait(now)
		if got != want*time.Second {
			t.Errorf("signal %d waits %s", k, got)
		}
		now = now.Add(got)
	}
	if got := c.wait(now.Add(30 * time.Second)); got != 30*time.Second {
		t.Errorf("half a pause later it waits %s", got)
	}
	if got := c.wait(now.Add(time.Hour)); got != 0 {
		t.Errorf("after an hour it waits %s", got)
	}
}
