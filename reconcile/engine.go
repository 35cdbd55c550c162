// SPDX-License-Identifier: Apache-2.0

// Package reconcile owns the desired State and keeps the host equal to it.
//
// The contract: mutations come in one at a time (Docker's calls, and what is
// seen of Docker), each either is applied whole or leaves nothing, and a full
// pass makes the host right again after a start, a reconnect, or drift. Both use
// the same idempotent appliers; recovery is not a second implementation.
//
// Be aware:
//   - One goroutine, Run's, executes everything; callers queue with their own
//     deadline. A change costs what it changes; only the full pass looks at all.
//   - Docker forgets a network or an endpoint whatever we answer to a removal.
//     What could not be removed is no longer in the State, and the next pass
//     sweeps it.
//   - Nothing here calls Docker: its API does not answer while it starts, and a
//     handler that waited for it would hang both.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"dovesnap/spec"
)

// Config is what the engine needs to know beside its appliers.
type Config struct {
	BootID   string        // /proc/sys/kernel/random/boot_id
	Interval time.Duration // between full passes
	Grace    time.Duration // how long Docker must not have known what is swept
	Datapath Datapath
	Resync   <-chan struct{} // Open vSwitch was (re)connected: look at everything

	Ports HostPorts
	Ended func(maker string) bool // of an endpoint: that dockerd is no more

	Faucet       Faucet          // nil: its configuration is the operator's
	Labels       bool            // containers' labels count
	PortsChanged <-chan struct{} // somebody changed ports in Open vSwitch
}

const (
	// firewallLook is how often it is looked at whether somebody has changed the
	// packet filter, which costs next to nothing when nobody has.
	firewallLook = 3 * time.Second

	passTimeout = 60 * time.Second // of a full pass
	// itemTimeout is how long a pass waits for one network or endpoint. What
	// takes longer waits for vswitchd, and so would the rest of the network,
	// which the next pass comes to.
	itemTimeout = 5 * time.Second
	undoTimeout = 10 * time.Second // of taking back a change that failed
)

// Engine is the owner of the State.
type Engine struct {
	sw    Switch
	links Links
	fw    Firewall
	cfg   Config
	log   *slog.Logger
	ops   chan op
	ready chan struct{} // closed when the stored State has been read

	docker       *dockerMemory // the loop's own, as is what follows
	itemTimeout  time.Duration
	rulesWritten bool // the packet filter's rules are those of the State
	faucet       Faucet
	foreign      map[spec.NetworkID][]spec.ForeignPort
	wrong        map[spec.EndpointID]error // what is wrong with a container's labels
	closing      map[spec.EndpointID]bool  // held, and Faucet must forget the port first
	again        *time.Timer               // for those
	asked        map[spec.EndpointID]int   // how often the gateway has asked for one that was let through late
	asking       *time.Timer
	introduced   map[spec.NetworkID]int  // how often its bridge was told to try again
	nudges       map[spec.EndpointID]int // how often a port was told again
	listen       *time.Timer             // when to look which have been heard

	busySince atomic.Pointer[time.Time] // when the loop began what it does; nil: it waits

	mu       sync.Mutex // guards what follows, never held over I/O
	state    spec.State
	names    Names
	problems map[string]string
}

// op is one queued mutation.
type op struct {
	ctx  context.Context
	run  func(context.Context) error
	done chan error
}

// New returns an Engine that does nothing until Run.
func New(sw Switch, links Links, fw Firewall, cfg Config, log *slog.Logger) *Engine {
	faucet := cfg.Faucet
	if faucet == nil {
		faucet = noFaucet{}
	}
	if cfg.Ended == nil {
		cfg.Ended = func(string) bool { return false }
	}
	return &Engine{sw: sw, links: links, fw: fw, cfg: cfg, log: log,
		itemTimeout: itemTimeout, faucet: faucet, again: stopped(), listen: stopped(), asking: stopped(), asked: map[spec.EndpointID]int{},
		wrong: map[spec.EndpointID]error{}, closing: map[spec.EndpointID]bool{}, nudges: map[spec.EndpointID]int{}, introduced: map[spec.NetworkID]int{},
		ops: make(chan op), ready: make(chan struct{}), docker: newDockerMemory(),
		state: spec.NewState(), problems: map[string]string{}}
}

// stopped returns a timer that waits to be set.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Run reads the stored State, then executes mutations and passes until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.load(ctx); err != nil {
		return nil // ctx ended first
	}
	e.busy(func() {
		close(e.ready) // a pass gives way to what waits
		e.lookPorts(ctx)
		e.want()
		e.pass(ctx)
	})
	look := time.NewTicker(firewallLook)
	defer look.Stop()
	tick := time.NewTicker(e.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-e.ops:
			e.busy(func() { o.done <- e.guard(o) })
		case <-e.cfg.Resync:
			e.busy(func() { e.lookPorts(ctx); e.pass(ctx) })
		case <-tick.C:
			e.busy(func() { e.pass(ctx) })
		case <-look.C:
			e.busy(func() { e.lookFirewall(ctx) })
		case <-e.cfg.PortsChanged:
			e.busy(func() { e.lookPorts(ctx) })
		case <-e.faucet.Changed():
			e.busy(func() { e.release(ctx) })
		case <-e.again.C:
			e.busy(func() { e.release(ctx) })
		case <-e.asking.C:
			e.busy(func() { e.ask(ctx) })
		case <-e.listen.C:
			e.busy(func() { e.hark(ctx) })
		}
	}
}

// load waits for Open vSwitch and reads the State that earlier runs stored.
func (e *Engine) load(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.cfg.Resync:
		}
		state, err := e.sw.Load(ctx)
		e.report("stored state", err)
		if err != nil && len(state.Networks)+len(state.Endpoints) == 0 {
			continue
		}
		e.log.Info("read the stored state", "networks", len(state.Networks), "endpoints", len(state.Endpoints))
		e.mu.Lock()
		e.state = state
		e.mu.Unlock()
		return nil
	}
}

// stuckAfter is how long one mutation or pass may take before Alive says no; each
// has a deadline, so that it never should.
const stuckAfter = 2 * passTimeout

// Alive reports whether the loop still turns: false means that something ignores
// its deadline, and that a restart is the way out.
func (e *Engine) Alive() bool {
	busy := e.busySince.Load()
	return busy == nil || time.Since(*busy) < stuckAfter
}

// busy runs one thing of the loop's.
func (e *Engine) busy(f func()) {
	now := time.Now()
	e.busySince.Store(&now)
	defer e.busySince.Store(nil)
	f()
}

// Ready is closed when the engine takes mutations.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// do queues a mutation and waits for its result. Once taken, a mutation ends by
// its own ctx, so that the caller always learns what came of it.
func (e *Engine) do(ctx context.Context, run func(context.Context) error) error {
	o := op{ctx: ctx, run: run, done: make(chan error, 1)}
	select {
	case e.ops <- o:
		return <-o.done
	case <-ctx.Done():
	}
	select {
	case <-e.ready:
		return errors.New("dovesnap is busy: earlier changes have not finished in time")
	default:
		return errors.New("Open vSwitch is not ready yet; `dovesnap status` says why")
	}
}

// guard turns a panic in a mutation into its error, so that one bad change does
// not take the service from all others.
func (e *Engine) guard(o op) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("panic in a change", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("internal error; dovesnap's log has the details")
		}
	}()
	return o.run(o.ctx)
}

// State returns a copy of the State.
func (e *Engine) State() spec.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Clone()
}

func (e *Engine) network(id spec.NetworkID) (spec.Network, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, ok := e.state.Networks[id]
	return n, ok
}

func (e *Engine) endpoint(id spec.EndpointID) (spec.Endpoint, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ep, ok := e.state.Endpoints[id]
	return ep, ok
}

// change edits the State.
func (e *Engine) change(edit func(spec.State)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	edit(e.state)
}

// undo runs what takes a failed change back, with time of its own: the change
// may have failed because its own ran out.
func (e *Engine) undo(ctx context.Context, steps ...func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for _, step := range steps {
		if err := step(ctx); err != nil {
			e.log.Warn("cannot take a failed change back; the next pass will", "err", err)
		}
	}
}

// unknownNetwork is the answer to a call about a network that is not in the
// State. An empty success would give the container a docker_gwbridge interface
// that goes around Faucet.
func unknownNetwork(id spec.NetworkID) error {
	return fmt.Errorf("network %q is not known to dovesnap (yet); if `docker network ls` shows it, it is being restored: try again", id.Short())
}
