// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"dovesnap/spec"
)

const (
	firstPause = 2 * time.Millisecond
	lastPause  = 250 * time.Millisecond
	patience   = 5 * time.Second // with what was announced and is not shown
)

// arrivals finds out about what events have just announced, and tells the
// engine. One goroutine does so, in rounds: all who wait for the same network
// are answered by one question.
type arrivals struct {
	api      *client.Client
	engine   Engine
	drivers  []string
	stir     func() // asks for a view
	log      *slog.Logger
	wake     chan struct{}
	patience time.Duration

	mu      sync.Mutex
	ours    map[spec.NetworkID]bool
	names   []naming
	attach  []attachment
	started []string // container IDs
}

type naming struct {
	network spec.NetworkID
	name    string
}

// attachment is a container that comes to a network: one that an event has
// announced, or the one of an endpoint that the driver has just made, of which
// Docker shows the name at first, and the ID when it has joined.
type attachment struct {
	network   spec.NetworkID
	container string          // ID, if known
	expected  spec.EndpointID // "": announced
	name      string          // of an expected one, if known
	since     time.Time
}

// announced is for those that events told of.
func announced(n spec.NetworkID, container string) func(attachment) bool {
	return func(p attachment) bool { return p.network == n && p.container == container && p.expected == "" }
}

func newArrivals(api *client.Client, engine Engine, drivers []string, stir func(), log *slog.Logger) *arrivals {
	return &arrivals{api: api, engine: engine, drivers: drivers, stir: stir, log: log, patience: patience,
		wake: make(chan struct{}, 1), ours: map[spec.NetworkID]bool{}}
}

// know notes that a network is of our driver.
func (a *arrivals) know(id spec.NetworkID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ours[id] = true
}

func (a *arrivals) expect(n spec.NetworkID, e spec.EndpointID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ours[n] = true
	a.attach = append(a.attach, attachment{network: n, expected: e, since: time.Now()})
	signal(a.wake)
}

func (a *arrivals) forget(these func(attachment) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attach = slices.DeleteFunc(a.attach, these)
}

// run makes rounds until ctx ends.
func (a *arrivals) run(ctx context.Context) error {
	pause := firstPause
	for {
		var again <-chan time.Time
		if a.round(ctx) {
			again = time.After(pause)
			pause = min(2*pause, lastPause)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
		case <-a.wake:
			pause = firstPause
		}
	}
}

// round tells the engine what can be told now, and reports whether there is more
// that Docker does not show yet.
func (a *arrivals) round(ctx context.Context) bool {
	a.mu.Lock()
	names, attach, started := a.names, slices.Clone(a.attach), a.started
	a.names, a.started = nil, nil
	a.mu.Unlock()
	for _, n := range names {
		a.tell(ctx, func(ctx context.Context) error { return a.engine.Named(ctx, n.network, n.name) })
	}
	if len(attach)+len(started) == 0 {
		return false
	}
	found := a.ask(ctx, attach, started)
	for _, p := range attach {
		a.attached(ctx, p, found)
	}
	for _, id := range started {
		a.start(ctx, id, found)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.attach) > 0
}

// tell calls the engine. What that does not take, a view will tell again.
func (a *arrivals) tell(ctx context.Context, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := call(ctx); err != nil {
		a.log.Debug("the engine does not take what has come", "err", err)
		a.stir()
	}
}
