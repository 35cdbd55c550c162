// SPDX-License-Identifier: Apache-2.0

// Package dockerd looks at Docker through its API: which of its networks are of
// our driver, what people call them, which containers are on them, and with what
// labels. No call to the driver carries a name or a label.
//
// The contract: a Watcher only reads. It hands on one whole view at a time, or
// none while the API does not answer, and tells of what has just been announced
// by an event without waiting for the next view. Nothing waits for it.
//
// Be aware:
//   - Docker's API accepts connections but says nothing while dockerd starts;
//     every request has a deadline.
//   - A view is a little old when it arrives; it carries the time at which the
//     asking began, so that the engine can tell what it says nothing about. What
//     it does not know (Labelled is false) says nothing either.
//   - Events get lost: everything that they tell of is in the next view too.
//   - To inspect a container that starts waits for the driver's own answers.
//     Lists of containers, and networks, can be asked for at any time.
package dockerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"dovesnap/reconcile"
	"dovesnap/spec"
)

const (
	requestTimeout = 10 * time.Second
	settle         = 500 * time.Millisecond // events of one `docker run` come in a burst
	firstRetry     = 100 * time.Millisecond
	lastRetry      = 2 * time.Second
)

// Engine is told of Docker; reconcile.Engine implements it. One call comes at a
// time of See, and one of the others. Any may tell what is known, or tell of an
// endpoint or network that is unknown or has gone meanwhile.
type Engine interface {
	// Lacks returns those of the endpoints that are not in the State, once that has
	// been read. A view has them as they are to be restored, or not at all.
	Lacks(context.Context, []spec.EndpointID) ([]spec.EndpointID, error)
	// See hears everything, again and again.
	See(context.Context, reconcile.DockerView) error
	// Named hears the name of a network that was just made.
	Named(ctx context.Context, n spec.NetworkID, name string) error
	// Attached hears whose an endpoint is, a moment after its Join.
	Attached(ctx context.Context, n spec.NetworkID, e spec.EndpointID, container string, labels map[string]string) error
	// Started hears of endpoints whose interfaces are now inside a running container
	// that has a label of ours, once Attached has heard of them.
	Started(context.Context, []spec.EndpointID) error
}

// Config says which Docker is watched and for what.
type Config struct {
	Host        string            // unix:///var/run/docker.sock
	Drivers     []string          // ovs, dovesnap
	Interval    time.Duration     // between views when no event comes
	Controllers []spec.Controller // of networks that name none
	Managed     bool              // dovesnap writes Faucet's configuration
}

// Watcher tells an Engine of Docker.
type Watcher struct {
	cfg    Config
	engine Engine
	log    *slog.Logger

	mu       sync.Mutex
	err      error     // of the last attempt; nil: connected
	arrivals *arrivals // nil: not connected
}

// New returns a Watcher that does nothing until Run.
func New(cfg Config, engine Engine, log *slog.Logger) *Watcher {
	return &Watcher{cfg: cfg, engine: engine, log: log, err: errors.New("nothing has come yet")}
}

// Err returns why Docker cannot be seen at the moment; nil when it can.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Expect says that the driver has made an endpoint, so that its container is
// looked for at once. Docker announces it much later, when the interface is set
// up: 50 ms after Join in Docker 28. Expect does not wait, and need not be called.
func (w *Watcher) Expect(n spec.NetworkID, e spec.EndpointID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.arrivals != nil {
		w.arrivals.expect(n, e)
	}
}

func (w *Watcher) follows(a *arrivals) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrivals = a
}

// Run watches until ctx ends. Docker may come and go.
func (w *Watcher) Run(ctx context.Context) error {
	delay := firstRetry
	for ctx.Err() == nil {
		err := w.watch(ctx)
		if ctx.Err() != nil {
			break
		}
		if w.Err() == nil {
			delay = firstRetry // it was there
		}
		w.note(err)
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, lastRetry)
	}
	return nil
}

// note keeps the state of the connection and logs its changes.
func (w *Watcher) note(err error) {
	w.mu.Lock()
	before := w.err
	w.err = err
	w.mu.Unlock()
	switch {
	case err == nil && before != nil:
		w.log.Info("connected to Docker", "host", w.cfg.Host)
	case err != nil && (before == nil || before.Error() != err.Error()):
		w.log.Warn("Docker is away", "host", w.cfg.Host, "err", err)
	}
}

// watch takes views and follows events until something fails.
func (w *Watcher) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := client.New(client.WithHost(w.cfg.Host))
	if err != nil {
		return fmt.Errorf("cannot use Docker at %q: %w", w.cfg.Host, err)
	}
	defer c.Close()
	if err := ping(ctx, c); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	stir := make(chan struct{}, 1) // one that waits stands for all
	a := newArrivals(c, w.engine, w.cfg.Drivers, func() { signal(stir) }, w.log)
	w.follows(a)
	defer w.follows(nil)
	// Subscribed before the first view, so that nothing falls between them.
	events, err := subscribe(ctx, c)
	if err != nil {
		return err
	}
	group.Go(func() error { return follow(ctx, events, a) })
	group.Go(func() error { return a.run(ctx) })
	group.Go(func() error { return w.views(ctx, c, a, stir) })
	return group.Wait()
}

func ping(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// signal leaves a token in a channel of one, unless one is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
