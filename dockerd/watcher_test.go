// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestEventBringsAView(t *testing.T) {
	d, e := serve(t), &engine{}
	watch(t, d, e)
	next(t, e.views)
	d.set("/networks/"+netID, "") // removed since it was listed
	d.events <- networkEvent("destroy", "ovs")
	if v := next(t, e.views); len(v.Networks) != 0 {
		t.Errorf("view: %+v", v)
	}
	d.events <- `{"Type":"network","Action":"connect"}` // of an unknown driver
	next(t, e.views)
	d.events <- `{"Type":"container","Action":"rename"}`
	next(t, e.views)
}

func TestDockerComesBack(t *testing.T) {
	d, e := serve(t), &engine{}
	watch(t, d, e)
	next(t, e.views)
	d.events <- "end"
	next(t, e.views)
	d.events <- networkEvent("connect", "ovs")
	e.hears(t, attached)
}

func TestDockerIsAway(t *testing.T) {
	w := New(Config{Host: "unix:///nonexistent/d.sock", Interval: time.Hour}, &engine{}, slog.New(slog.DiscardHandler))
	if err := w.watch(t.Context()); err == nil {
		t.Error("no error")
	}
	w.Expect(netID, epID) // nobody is there to look; the first view will have it
}

// Whatever a watch is in the middle of, it ends as a whole.
func TestNothingIsLeftRunning(t *testing.T) {
	for name, path := range map[string]string{"idle": "", "a view hangs": "/networks", "an arrival hangs": "/networks/" + netID} {
		t.Run(name, func(t *testing.T) {
			d, e := serve(t), &engine{calls: make(chan string, 100)}
			if path == "/networks/"+netID {
				d.set(path, inspected, "hang") // the first view passes
			} else {
				d.set(path, "hang")
			}
			w := New(Config{Host: "unix://" + d.path, Drivers: []string{"ovs"}, Interval: time.Hour}, e, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			d.events <- networkEvent("connect", "ovs")
			cancel()
			if err := next(t, done); err != nil {
				t.Error(err)
			}
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
				stacks := make([]byte, 1<<20)
				left := string(stacks[:runtime.Stack(stacks, true)])
				if !strings.Contains(left, "moby/client.") && !strings.Contains(left, "dockerd.(*arrivals)") && !strings.Contains(left, "dockerd.(*Watcher)") {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal(left)
				}
			}
		})
	}
}
