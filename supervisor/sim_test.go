// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"
)

// sim is a world with one child: clock, launcher and log handler in one, driven
// by the machine's own goroutine, so that a seed fixes every step.
type sim struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Time
	end   time.Time
	stop  context.CancelFunc
	live  *fakeProc // the process that exists, if any
	pids  int
	calm  bool          // no failure but by dieAfter
	die   time.Duration // calm: age at which each process dies; 0 never
	deaf  []error       // answers to the first liveness probes
	runs  bool          // while it is deaf
	found bool          // there is one to adopt at the start
	stuck bool          // the first never gets ready
	idle  bool          // and answers probes
	stops time.Duration // when the first was given up
	turns int
	slow  []time.Duration // the patience of probes, of those that had more than usual
	lines []string        // transitions

	entered  time.Time // the present state
	failures int64     // as the last failure was logged
	failedAt time.Time
}

func newSim(t *testing.T, seed uint64, span time.Duration) (*sim, *child, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	start := time.Unix(0, 0)
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, end: start.Add(span), stop: cancel, entered: start}
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c := newChild("fake", s, cfg, s, slog.New(s))
	c.jitter = func() float64 { return 2*s.rng.Float64() - 1 }
	return s, c, ctx
}

func (s *sim) Now() time.Time { return s.now }

// After is the only way that time passes while the machine waits. It stops at
// the death of the process, which the machine must notice by itself.
func (s *sim) After(d time.Duration) <-chan time.Time {
	until := s.now.Add(d)
	if s.live != nil && !s.live.dies.IsZero() && !s.live.dies.After(until) {
		if s.live.dies.After(s.now) {
			s.now = s.live.dies
		}
		close(s.live.done)
		s.live = nil
		return nil
	}
	if until.After(s.end) {
		s.stop()
		return nil
	}
	s.now = until
	ch := make(chan time.Time, 1)
	ch <- s.now
	return ch
}

func (s *sim) pass(limit time.Duration) { s.now = s.now.Add(time.Duration(s.rng.Int64N(int64(limit)))) }

func (s *sim) chance(percent int) bool { return !s.calm && s.rng.IntN(100) < percent }

func (s *sim) fails(percent int, what string) error {
	s.pass(100 * time.Millisecond)
	if s.chance(percent) {
		return errors.New(what)
	}
	return nil
}

func (s *sim) Adopt(context.Context) (process, error) {
	if s.live != nil {
		s.t.Errorf("%v: looks for a process to adopt while its own pid %d exists", s.now, s.live.pid)
	}
	if s.failures > 0 {
		base := []time.Duration{0, 0, 1, 2, 4, 8, 16, 30}[min(s.failures, 7)] * time.Second
		if gap := s.now.Sub(s.failedAt); gap < base*8/10 || gap > base*12/10 {
			s.t.Errorf("back-off after failure %d was %s, want %s ±20%%", s.failures, gap, base)
		}
	}
	if s.chance(5) || s.found && s.pids == 0 {
		return s.spawn(), nil
	}
	return nil, s.fails(2, "foreign")
}

func (s *sim) Prepare(context.Context) error { return s.fails(10, "damaged") }

func (s *sim) Launch(context.Context) (process, error) {
	if s.live != nil {
		s.t.Errorf("%v: launched beside pid %d", s.now, s.live.pid)
	}
	if err := s.fails(5, "exec"); err != nil {
		return nil, err
	}
	return s.spawn(), nil
}

func (s *sim) spawn() *fakeProc {
	s.pids++
	p := &fakeProc{sim: s, pid: s.pids, done: make(chan struct{}), hears: rung(s.rng.IntN(3))}
	switch {
	case s.calm && s.die > 0:
		p.dies = s.now.Add(s.die)
	case s.chance(70):
		p.dies = s.now.Add(time.Duration(s.rng.ExpFloat64() * float64(20*time.Second)))
	}
	s.live = p
	return p
}

func (s *sim) Ready(context.Context, process) error {
	if s.stuck && s.pids == 1 {
		if s.runs {
			s.turns++
		}
		return errDeaf
	}
	return s.fails(60, "not yet")
}

func (s *sim) Live(_ context.Context, _ process, patience time.Duration) error {
	if patience > time.Second {
		s.slow = append(s.slow, patience)
	}
	if s.runs || s.idle {
		s.turns++
	}
	if s.stuck && s.pids == 1 && !s.idle {
		return errDeaf
	}
	if len(s.deaf) > 0 {
		deaf := s.deaf[0]
		s.deaf = s.deaf[1:]
		if deaf != nil {
			return deaf
		}
	}
	return s.fails(35, "deaf")
}

var errDeaf = errors.New("deaf")

type fakeProc struct {
	sim   *sim
	pid   int
	done  chan struct{}
	dies  time.Time
	hears rung // ends on this rung, not on an earlier one
	told  []rung
	freed bool
}

func (p *fakeProc) PID() int              { return p.pid }
func (p *fakeProc) Turns() int            { return p.sim.turns }
func (p *fakeProc) Done() <-chan struct{} { return p.done }
func (p *fakeProc) Err() error            { return fmt.Errorf("pid %d died", p.pid) }
func (p *fakeProc) Release()              { p.freed = true }

func (p *fakeProc) Tell(_ context.Context, r rung) error {
	p.told = append(p.told, r)
	p.sim.pass(10 * time.Millisecond)
	if r == askExit && p.hears != askExit {
		return errors.New("deaf")
	}
	if r == p.hears {
		// Not always in time for the next rung: a kernel may hold it for long.
		if at := p.sim.now.Add(time.Duration(p.sim.rng.ExpFloat64() * float64(4*time.Second))); p.dies.IsZero() || at.Before(p.dies) {
			p.dies = at
		}
	}
	return nil
}

// The log handler sees transitions and failures, with the time of the world.
func (s *sim) Enabled(context.Context, slog.Level) bool { return true }
func (s *sim) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *sim) WithGroup(string) slog.Handler            { return s }
func (s *sim) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value; return true })
	switch r.Message {
	case "failed; starting it again":
		s.failures, s.failedAt = attrs["failures"].Int64(), s.now
	case "state":
		from, to := attrs["from"].String(), attrs["to"].String()
		s.lines = append(s.lines, from+" → "+to)
		if took := s.now.Sub(s.entered); from == string(Stopping) && took > 70*time.Second {
			s.t.Errorf("stopping took %s", took)
		}
		if exists := s.live != nil; exists && (to == string(Backoff) || to == string(Preflight)) {
			s.t.Errorf("%s → %s while pid %d exists", from, to, s.live.pid)
		}
		if to == string(Stopping) && s.stops == 0 {
			s.stops = s.now.Sub(time.Unix(0, 0))
		}
		s.entered = s.now
	}
	return nil
}
