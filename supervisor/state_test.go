// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMachineUnderRandomCrashes(t *testing.T) {
	want := []string{
		"stopped → preflight",
		"preflight → starting", "preflight → backoff",
		"starting → ready", "starting → backoff", "starting → stopping",
		"ready → degraded", "ready → backoff",
		"degraded → ready", "degraded → stopping", "degraded → backoff",
		"stopping → backoff",
		"backoff → preflight",
	}
	seen := map[string]bool{}
	for seed := range uint64(10_000) {
		s, c, ctx := newSim(t, seed, 10*time.Minute)
		if seed%50 == 0 {
			c.cfg.StartTimeout = 100 * time.Millisecond // some never get ready in time
		}
		c.run(ctx)
		for _, line := range s.lines {
			seen[line] = true
			if !slices.Contains(want, line) {
				t.Errorf("seed %d: %s", seed, line)
			}
		}
		if s.live != nil && c.proc != nil && !s.live.freed {
			t.Errorf("seed %d: pid %d is still watched after the end", seed, s.live.pid)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, line := range want {
		if !seen[line] {
			t.Errorf("never seen: %s", line)
		}
	}
}

func TestEndOfRunLeavesTheProcessAlone(t *testing.T) {
	s, c, ctx := newSim(t, 1, time.Minute)
	s.calm = true
	c.run(ctx)
	p := c.proc.(*fakeProc)
	if len(p.told) > 0 || s.live != p || !p.freed {
		t.Errorf("told %v, alive %v, released %v; want untouched, alive, released", p.told, s.live == p, p.freed)
	}
	if st := c.snapshot(); st.State != Ready || st.Restarts != 0 || st.PID != p.pid {
		t.Errorf("status %+v", st)
	}
}

func TestCrashLoopIsShownAndForgotten(t *testing.T) {
	s, c, ctx := newSim(t, 1, 3*time.Minute)
	s.calm, s.die = true, 200*time.Millisecond
	var shown []State
	c.onReady = func() {
		shown = append(shown, c.snapshot().State)
		if len(shown) == 8 {
			s.live.dies, s.die = time.Time{}, 0 // cured
		}
	}
	c.run(ctx)
	want := []State{Ready, Ready, Ready, Ready, Ready, Ready, Degraded, Degraded}
	if !slices.Equal(shown, want) {
		t.Errorf("shown at each readiness: %v, want %v", shown, want)
	}
	if st := c.snapshot(); st.State != Ready || st.Restarts != 7 || c.failures != 0 {
		t.Errorf("after a quiet minute: %+v, %d failures; want ready, 7 restarts, none", st, c.failures)
	}
}

// Only misses in a row are held against a child.
func TestLivenessMisses(t *testing.T) {
	s, c, ctx := newSim(t, 1, 3*time.Minute)
	s.calm = true
	for _, n := range []int{1, 2, 0, 2, 0, 3} { // 0: one good answer
		for range n {
			s.deaf = append(s.deaf, errDeaf)
		}
		s.deaf = append(s.deaf, nil)
	}
	c.run(ctx)
	got := strings.Count(strings.Join(s.lines, "\n"), "degraded → stopping")
	if st := c.snapshot(); got != 1 || st.Restarts != 1 || st.State != Ready {
		t.Errorf("%d stops, status %+v; want one restart, for the three in a row\n%s", got, st, strings.Join(s.lines, "\n"))
	}
}

// One that runs, and yet does not answer in time, is given more before it counts as
// hanging: on a host whose processors are all busy it would be started anew for
// nothing. One that stands still is not.
func TestSlowIsNotHanging(t *testing.T) {
	for _, test := range []struct {
		name     string
		runs     bool
		deaf     int
		slow     int
		restarts int
	}{
		{"runs, answers the patient", true, 3, 1, 0},
		{"runs, answers nobody", true, 4, 1, 1},
		{"runs, misses two", true, 2, 0, 0},
		{"stands still", false, 3, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c, ctx := newSim(t, 1, 3*time.Minute)
			s.calm, s.runs = true, test.runs
			for range test.deaf {
				s.deaf = append(s.deaf, errDeaf)
			}
			c.run(ctx)
			if st := c.snapshot(); len(s.slow) != test.slow || st.Restarts != test.restarts || st.State != Ready {
				t.Errorf("patient probes %v, status %+v\n%s", s.slow, st, strings.Join(s.lines, "\n"))
			}
		})
	}
}

// One that hangs already when it is adopted is found as soon as one that serves would
// be. One that runs, or waits for another, or was just launched, has StartTimeout.
func TestHangWhileStarting(t *testing.T) {
	for _, test := range []struct {
		name              string
		found, runs, idle bool
		hangs             bool
	}{
		{"adopted", true, false, false, true},
		{"adopted, runs", true, true, false, false},
		{"adopted, waits for another", true, false, true, false},
		{"launched", false, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c, ctx := newSim(t, 1, 10*time.Minute)
			s.calm, s.stuck, s.found, s.runs, s.idle = true, true, test.found, test.runs, test.idle
			c.run(ctx)
			lines := strings.Join(s.lines, "\n")
			if hangs := s.stops < 20*time.Second; hangs != test.hangs || !strings.Contains(lines, "starting → stopping") {
				t.Errorf("stopped after %s\n%s", s.stops, lines)
			}
			if st := c.snapshot(); st.Restarts != 1 || st.State != Ready {
				t.Errorf("status %+v; want one restart", st)
			}
		})
	}
}

// What is beyond doubt is acted on at once.
func TestHopeless(t *testing.T) {
	s, c, ctx := newSim(t, 1, 3*time.Minute)
	s.calm, s.runs = true, true
	s.deaf = []error{nil, fmt.Errorf("probe: %w", errNoDatapath)}
	c.run(ctx)
	lines := strings.Join(s.lines, "\n")
	if st := c.snapshot(); len(s.slow) != 0 || st.Restarts != 1 || st.State != Ready || !strings.Contains(lines, "ready → stopping") {
		t.Errorf("patient probes %v, status %+v; want one restart at the first miss\n%s", s.slow, st, lines)
	}
}

func TestDelay(t *testing.T) {
	for n, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 30, 30} {
		if got := delay(n, 0); got != want*time.Second {
			t.Errorf("delay(%d) = %s, want %ds", n, got, want)
		}
	}
	if low, high := delay(100, -1), delay(100, 1); low != 24*time.Second || high != 36*time.Second {
		t.Errorf("delay(100) is %s to %s, want 24s to 36s", low, high)
	}
}

// A ladder climbs in order, and ends although nothing helps.
func TestStopLadder(t *testing.T) {
	for _, tc := range []struct {
		hears rung
		told  []rung
		ends  bool
	}{
		{askExit, []rung{askExit}, true},
		{sigTerm, []rung{askExit, sigTerm}, true},
		{sigKill, []rung{askExit, sigTerm, sigKill}, true},
		{sigKill + 1, []rung{askExit, sigTerm, sigKill}, false},
	} {
		s, _, ctx := newSim(t, 7, time.Hour)
		s.calm = true
		p := s.spawn()
		p.hears = tc.hears
		err := stop(ctx, instant{s}, p)
		if (err == nil) != tc.ends || !slices.Equal(p.told, tc.told) {
			t.Errorf("hears %d: told %v, error %v", tc.hears, p.told, err)
		}
	}
}

// instant lets a process that was told to end do so at once.
type instant struct{ *sim }

func (i instant) After(d time.Duration) <-chan time.Time {
	if p := i.live; p != nil && !p.dies.IsZero() {
		p.dies = i.now
	}
	return i.sim.After(d)
}
