// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// State of a child. The ways between them, all others being impossible:
//
//	Stopped   → Preflight
//	Preflight → Starting | Backoff
//	Starting  → Ready | Stopping | Backoff
//	Ready     → Degraded | Backoff
//	Degraded  → Ready | Stopping | Backoff
//	Stopping  → Backoff | Stopping
//	Backoff   → Preflight
//
// A process exists in Starting, Ready, Degraded and Stopping, and only there.
// There is no Failed: a network is never given up.
type State string

const (
	Stopped   State = "stopped"   // not begun
	Preflight State = "preflight" // looks for a process to adopt, else checks and launches
	Starting  State = "starting"  // runs, does not serve yet
	Ready     State = "ready"     // serves
	Degraded  State = "degraded"  // runs, missed a probe; in Status also: crashes again and again
	Stopping  State = "stopping"  // being stopped because it no longer serves
	Backoff   State = "backoff"   // waits before the next try
)

// daemon is what a child's machine drives.
type daemon interface {
	Adopt(ctx context.Context) (process, error)  // the running one, nil when there is none; an error when it is not ours
	Prepare(ctx context.Context) error           // before a launch: clean, check, wait for what it needs
	Launch(ctx context.Context) (process, error) // returns at once
	Ready(ctx context.Context, p process) error  // nil when it serves; else why not yet
	// Live is nil while it serves: each answer is waited for as long as patience.
	Live(ctx context.Context, p process, patience time.Duration) error
}

// process is a running daemon, child or adopted.
type process interface {
	PID() int
	Turns() int                             // how often its main thread has had a processor; stands still when it hangs
	Done() <-chan struct{}                  // closed when it has ended and was reaped
	Err() error                             // after Done: how it ended, with its last words
	Tell(ctx context.Context, r rung) error // one rung of the stop ladder
	Release()                               // stops watching; the process goes on
}

// hopeless is why a process can only be started anew, which needs no second look.
type hopeless string

func (h hopeless) Error() string { return string(h) }

type clock interface {
	Now() time.Time
	After(time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// child is the machine: one goroutine, in run, owns everything but status.
type child struct {
	name    string
	daemon  daemon
	cfg     Config
	clock   clock
	log     *slog.Logger
	onReady func()
	jitter  func() float64 // in [-1, 1)

	proc     process
	misses   int
	turns    int         // its Turns at the first of them, and while it starts the last known
	still    time.Time   // while it starts: since when it has these
	adopted  bool        // it was there before us
	cause    error       // why it is being stopped
	failures int         // since it was last Ready for QuietAfter
	recent   []time.Time // failures of the last minute
	began    time.Time   // the present process, with us
	starts   int

	mu     sync.Mutex
	status Child
	loop   bool // more than five failures within a minute, and not quiet since
}

func newChild(name string, d daemon, cfg Config, c clock, log *slog.Logger) *child {
	return &child{name: name, daemon: d, cfg: cfg, clock: c, log: log, onReady: func() {},
		jitter: func() float64 { return 2*rand.Float64() - 1 },
		status: Child{Name: name, State: Stopped, Since: c.Now()}}
}

// run drives the machine until ctx ends, and leaves the process running.
func (c *child) run(ctx context.Context) {
	for next := Preflight; ctx.Err() == nil; {
		c.enter(next)
		switch next {
		case Preflight:
			next = c.preflight(ctx)
		case Starting:
			next = c.starting(ctx)
		case Ready, Degraded:
			next = c.serving(ctx, next)
		case Stopping:
			next = c.stopping(ctx)
		case Backoff:
			next = c.backoff(ctx)
		}
	}
	if c.proc != nil {
		c.proc.Release()
	}
}

func (c *child) preflight(ctx context.Context) State {
	p, err := c.daemon.Adopt(ctx)
	c.adopted = p != nil
	if err == nil && !c.adopted {
		if err = c.daemon.Prepare(ctx); err == nil {
			p, err = c.daemon.Launch(ctx)
		}
	}
	if err != nil {
		return c.failed(ctx, fmt.Errorf("cannot start %s: %w", c.name, err))
	}
	c.proc, c.began = p, c.clock.Now()
	c.turns, c.still = p.Turns(), c.began
	c.countStart()
	c.log.Info("running", "pid", p.PID(), "adopted", c.adopted)
	return Starting
}

func (c *child) starting(ctx context.Context) State {
	for {
		err := c.daemon.Ready(ctx, c.proc)
		if err == nil {
			c.log.Info("ready", "pid", c.proc.PID(), "took", c.clock.Now().Sub(c.began).Round(time.Millisecond))
			c.enter(Ready)
			c.onReady()
			return Ready
		}
		if errors.As(err, new(hopeless)) {
			c.cause = fmt.Errorf("%s does not serve: %w", c.name, err)
			return Stopping
		}
		took := c.clock.Now().Sub(c.began)
		if took > c.cfg.ProbeEvery { // slow: say why, ovsdb-server lives on without its socket
			c.note(fmt.Errorf("%s is not ready yet: %w", c.name, err))
		}
		if c.adopted && c.hangs(ctx) {
			c.cause = fmt.Errorf("%s does not serve, and has not run for %s: %w", c.name, c.clock.Now().Sub(c.still).Round(time.Second), err)
			return Stopping
		}
		if took > c.cfg.StartTimeout {
			c.cause = fmt.Errorf("%s is not ready after %s: %w", c.name, c.cfg.StartTimeout, err)
			return Stopping
		}
		if c.wait(ctx, readyPoll) == ended {
			return c.crashed(ctx)
		}
		if ctx.Err() != nil {
			return Starting
		}
	}
}

const readyPoll = 50 * time.Millisecond

// hangs is true of one that is not ready, has stood still for as long as a liveness
// probe gives one that serves, and is deaf. One that waits for another stands still
// too, but an answer costs it a turn. One that was just launched may load a large
// database, which is why StartTimeout is long.
func (c *child) hangs(ctx context.Context) bool {
	switch now := c.clock.Now(); {
	case c.proc.Turns() != c.turns:
	case now.Sub(c.still) < time.Duration(c.cfg.Misses)*c.cfg.ProbeEvery:
		return false
	case c.daemon.Live(ctx, c.proc, c.cfg.ProbeTimeout) != nil && c.proc.Turns() == c.turns:
		return ctx.Err() == nil
	}
	c.turns, c.still = c.proc.Turns(), c.clock.Now()
	return false
}

// serving is one liveness probe, from Ready or Degraded.
func (c *child) serving(ctx context.Context, now State) State {
	switch c.wait(ctx, c.cfg.ProbeEvery) {
	case ended:
		return c.crashed(ctx)
	case cancelled:
		return now
	}
	err := c.daemon.Live(ctx, c.proc, c.cfg.ProbeTimeout)
	if err != nil && c.misses == c.cfg.Misses-1 && c.proc.Turns() != c.turns && !errors.As(err, new(hopeless)) {
		// It runs, so neither it nor we may have had the processor for an answer in
		// time: to start it anew would make that worse, and interrupt what it switches.
		c.log.Warn("slow to answer; given more time", "err", err)
		err = c.daemon.Live(ctx, c.proc, c.cfg.Patience)
	}
	if err == nil || ctx.Err() != nil {
		c.misses = 0
		if now == Ready && c.clock.Now().Sub(c.since()) >= c.cfg.QuietAfter {
			c.failures, c.recent = 0, nil
			c.setLooping(false)
		}
		return Ready
	}
	if c.misses++; c.misses == 1 {
		c.turns = c.proc.Turns()
	}
	c.note(err)
	if c.misses < c.cfg.Misses && !errors.As(err, new(hopeless)) {
		c.log.Warn("missed a liveness probe", "err", err)
		return Degraded
	}
	c.cause = fmt.Errorf("%s does not serve: %w", c.name, err)
	return Stopping
}

// stopping never leaves before the process is gone: its pidfile lock would make
// the next one exit at once.
func (c *child) stopping(ctx context.Context) State {
	c.log.Warn("stopping it to start it anew", "pid", c.proc.PID(), "cause", c.cause)
	if err := stop(ctx, c.clock, c.proc); err != nil {
		if ctx.Err() == nil {
			c.note(err)
			c.log.Error("it survives SIGKILL; trying again", "err", err)
		}
		return Stopping
	}
	c.proc.Release()
	c.proc = nil
	return c.failed(ctx, c.cause)
}

func (c *child) crashed(ctx context.Context) State {
	err := c.proc.Err()
	c.proc.Release()
	c.proc = nil
	return c.failed(ctx, err)
}

// failed keeps the books of back-off and crash loop, and logs: from here on the
// error is only shown in Status.
func (c *child) failed(ctx context.Context, err error) State {
	if ctx.Err() != nil { // we are leaving: it is that, not the child, that failed
		return Backoff
	}
	now := c.clock.Now()
	c.misses = 0
	c.failures++
	c.recent = append(c.recent, now)
	for now.Sub(c.recent[0]) > time.Minute {
		c.recent = c.recent[1:]
	}
	if len(c.recent) > 5 {
		c.setLooping(true)
	}
	if c.looping() {
		err = fmt.Errorf("crash loop, %d failures in a row: %w", c.failures, err)
	}
	c.note(err)
	c.log.Error("failed; starting it again", "err", err, "failures", c.failures)
	return Backoff
}

func (c *child) backoff(ctx context.Context) State {
	if d := delay(c.failures, c.jitter()); d > 0 {
		c.wait(ctx, d)
	}
	return Preflight
}

// delay before the try that follows the n-th failure in a row: none at first,
// then 1, 2, 4, 8, 16, 30, 30 … seconds, each ±20 %.
func delay(n int, jitter float64) time.Duration {
	if n <= 1 {
		return 0
	}
	d := min(time.Second<<min(n-2, 5), 30*time.Second)
	return d + time.Duration(jitter*0.2*float64(d))
}

type wake int

const (
	elapsed wake = iota
	ended
	cancelled
)

// wait is the machine's only place to wait.
func (c *child) wait(ctx context.Context, d time.Duration) wake {
	var done <-chan struct{} // nil, for ever silent, without a process
	if c.proc != nil {
		done = c.proc.Done()
	}
	select {
	case <-done:
		return ended
	default:
	}
	select {
	case <-done:
		return ended
	case <-ctx.Done():
		return cancelled
	case <-c.clock.After(d):
		return elapsed
	}
}
