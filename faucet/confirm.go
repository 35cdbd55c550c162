// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Pace of asking Faucet.
const (
	firstPoll = 20 * time.Millisecond // growing to lastPoll
	lastPoll  = time.Second
	// firstTell is how long Faucet is given to do as it was told before it is told
	// again; the time grows to lastTry.
	firstTell = 2 * time.Second
	// patience is how long Faucet may take before that is a problem; one that
	// watches its files looks every 3 to 5 s.
	patience = 12 * time.Second
)

// confirmation is the part of the loop that asks Faucet.
type confirmation struct {
	waiting   bool // for Faucet to load what was delivered
	sentAt    time.Time
	confirmed bool // it has

	tellAt, pollAt       time.Time
	tellDelay, pollDelay time.Duration
	versions             []string // what it said it had
	untold               error    // of the last telling
	unreached            error    // of the last question
	refusal              error    // of its last load
}

// await begins to wait for Faucet.
func (l *confirmation) await() {
	now := time.Now()
	l.waiting, l.confirmed, l.sentAt, l.versions = true, false, now, nil
	l.pollAt, l.pollDelay = now.Add(firstPoll), firstPoll
	l.tellAt, l.tellDelay, l.untold = now, 0, nil
}

func (c *Courier) tell(ctx context.Context) {
	l := &c.loop
	if !l.waiting || time.Now().Before(l.tellAt) {
		return
	}
	again := firstTell
	if l.untold = c.b.tell(ctx); l.untold != nil {
		again = firstTry // it may be on its way up
	}
	l.tellDelay = min(max(2*l.tellDelay, again), lastTry)
	l.tellAt = time.Now().Add(l.tellDelay)
}

// confirm asks Faucet what it has loaded.
func (c *Courier) confirm(ctx context.Context) {
	l := &c.loop
	if time.Now().Before(l.pollAt) {
		return
	}
	got, err := c.b.loaded(ctx)
	if l.unreached, l.refusal = err, nil; got.refused != "" {
		l.refusal = errors.New(got.refused)
	}
	// The versions are known before the flows are sent; one that has been there
	// for a while has sent its own.
	sent := got.sent || l.versions != nil && slices.Equal(got.versions, l.versions)
	l.versions = got.versions
	if err == nil && sent && !l.alien {
		c.confirmed(got.versions)
	}
	if l.pollDelay = min(l.pollDelay*3/2, lastPoll); !l.waiting {
		l.pollDelay = idle
	}
	l.pollAt = time.Now().Add(l.pollDelay)
}

// confirmed takes note of the versions that Faucet may have.
func (c *Courier) confirmed(versions []string) {
	l := &c.loop
	c.mu.Lock()
	changed, latest := c.force.confirm(versions)
	older := c.force.older()
	c.mu.Unlock()
	if changed {
		signal(c.changed)
	}
	l.confirmed = latest
	switch {
	case latest && l.waiting:
		c.log.Debug("Faucet has loaded the configuration", "took", time.Since(l.sentAt).Round(time.Millisecond))
		l.waiting, l.untold = false, nil
		if err := save(c.state, older); err != nil {
			c.log.Warn("what Faucet has in force is remembered longer than needed", "err", err)
		}
	case !latest && !l.waiting && l.rendered != nil && l.text == l.holds && c.anything():
		l.await() // it has missed something, or went back to something older
	}
}

// anything reports whether Faucet has anything to load.
func (c *Courier) anything() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.config.DPs)+len(c.others.DPs) > 0
}

// trouble returns what is wrong with the delivery as a whole.
func (c *Courier) trouble(s seen) error {
	l := &c.loop
	late := l.waiting && time.Since(l.sentAt) > patience
	switch {
	case l.found != nil:
		return l.found
	case l.failure != nil:
		return l.failure
	case !c.anything():
		return nil // that it has nothing to do is no problem, though it says so
	case s.detached != "" && len(c.config.DPs) == 0:
		return nil
	case s.detached != "":
		return errors.New(s.detached)
	case l.refusal != nil:
		return fmt.Errorf("Faucet refuses its configuration: %s", oneLine(l.refusal.Error()))
	case l.untold != nil && time.Since(l.sentAt) > firstTell:
		return l.untold
	case late && l.unreached != nil:
		return l.unreached
	case late:
		return errors.New("Faucet has not loaded the new configuration: " + c.b.hint())
	}
	return nil
}
