// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"time"
)

// Pace of the Courier.
const (
	firstTry = 200 * time.Millisecond // after a failure, doubled up to lastTry
	lastTry  = 10 * time.Second
	// pace is how long a delivery waits for the confirmation of the one before:
	// each makes Faucet read everything anew.
	pace = 200 * time.Millisecond
	// glance is between two looks at the operator's files while something is wrong
	// that he may be mending, and idle otherwise.
	glance = time.Second
	idle   = 10 * time.Second
)

// loop is what only Run's goroutine knows.
type loop struct {
	seeded bool
	found  error  // of the last look
	holds  string // our text there
	alien  bool   // somebody else's was there, at the last look that told

	rendered *Wanted // what text and problems are of, with the others of state
	state    string
	text     string
	ports    policies
	problems map[string]string

	tries   time.Duration // back-off of a delivery that failed
	tryAt   time.Time
	failure error  // of the last delivery
	refused string // the text and state that a check refused
	given   string // the text that Faucet may have got last

	confirmation
}

// step does what is due, and returns how long there is nothing else to do.
func (c *Courier) step(ctx context.Context) time.Duration {
	l := &c.loop
	s, err := c.b.look(ctx, len(c.problems) > 0) // written by this goroutine alone
	l.found = err
	if _, not := err.(notOurs); not {
		c.alien()
	}
	if err == nil {
		switch {
		case !l.seeded:
			c.seed(s)
		case s.ours != l.holds:
			c.drifted(s)
		}
		l.holds, l.alien = s.ours, false
		c.deliver(ctx, s)
	}
	if l.seeded {
		c.tell(ctx)
		c.confirm(ctx)
	}
	c.publish(s)
	return max(time.Until(c.next()), time.Millisecond)
}

// seed begins with what Faucet's configuration held before us.
func (c *Courier) seed(s seen) {
	older, waits, err := load(c.state)
	if err != nil {
		c.log.Warn("cannot tell what Faucet has in force until it says so", "err", err)
	}
	before, parseErr := Parse(s.ours)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.force = force{unknown: err != nil || parseErr != nil || c.loop.alien}
	if len(older) > 0 {
		c.force.give(older)
	}
	c.force.give(before.policies())
	c.force.name(s.version)
	c.memory, c.config = Remember(before), before
	c.loop.seeded = true
	if waits || c.force.unknown {
		c.loop.await()
	}
}

// alien takes note of something in our file's place that is nobody's we know:
// Faucet may read it, and have anything until it says that it has ours.
func (c *Courier) alien() {
	c.mu.Lock()
	c.force.unknown = true
	c.mu.Unlock()
	c.loop.alien, c.loop.holds, c.loop.given = true, "", ""
}

// drifted takes note of what somebody else wrote, or a call of ours that seemed to
// have failed: Faucet may have read it.
func (c *Courier) drifted(s seen) {
	c.log.Warn("dovesnap's part of Faucet's configuration is not what was written last")
	found, err := Parse(s.ours)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.force.give(found.policies())
	c.force.name(s.version)
	c.force.unknown = c.force.unknown || err != nil
	c.loop.given = ""
	c.loop.await()
}

// render turns the last Want into text, and marks it as underway in the same
// moment: what is settled from now on is so whatever becomes of the delivery.
func (c *Courier) render(s seen) (Config, bool) {
	l := &c.loop
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == nil {
		return Config{}, false
	}
	if c.wanted != l.rendered || s.state != l.state {
		c.others = s.others
		c.memory = c.memory.Cover(c.wanted.State)
		c.config = Render(*c.wanted, c.memory, c.others)
		l.rendered, l.state, l.text = c.wanted, s.state, c.config.String()
		l.ports = c.config.policies()
		l.problems = c.wanted.problems(c.others, c.config)
	}
	c.underway = l.ports
	if l.text != l.holds {
		c.status.Delivered, c.status.Confirmed = false, false
	}
	return c.config, true
}

// deliver brings the last Want to where Faucet finds it, if it's not there.
func (c *Courier) deliver(ctx context.Context, s seen) {
	l := &c.loop
	defer func() {
		c.mu.Lock()
		c.underway = nil
		c.mu.Unlock()
	}()
	config, ok := c.render(s)
	if ok && l.text == l.holds {
		l.failure, l.refused, l.tries = nil, "", 0
	}
	if !ok || l.text == l.holds || time.Now().Before(c.deliverAt()) {
		return
	}
	l.refused = ""
	before, err := Parse(s.ours)
	if err == nil {
		err = c.b.check(ctx, before, config)
	}
	if _, no := err.(refusal); no {
		l.refused = l.text + l.state
	}
	if err == nil {
		err = c.send(ctx, config)
	}
	if l.failure = err; err != nil {
		l.tries = min(max(2*l.tries, firstTry), lastTry)
		l.tryAt = time.Now().Add(l.tries)
	}
}

// deliverAt returns when the next delivery may begin. A refusal says nothing
// about another configuration.
func (c *Courier) deliverAt() (at time.Time) {
	l := &c.loop
	if l.failure != nil && (l.refused == "" || l.refused == l.text+l.state) {
		at = l.tryAt
	}
	if next := l.sentAt.Add(pace); l.waiting && l.unreached == nil && next.After(at) {
		at = next
	}
	return at
}

// send delivers a Config, of which Faucet may know from the first moment.
func (c *Courier) send(ctx context.Context, config Config) error {
	l := &c.loop
	c.mu.Lock()
	if l.given != l.text || len(c.force.versions) == 0 {
		c.force.give(c.underway)
	}
	l.given = l.text
	older := c.force.older()
	c.mu.Unlock()
	if err := save(c.state, older); err != nil {
		return err
	}
	got, err := c.b.deliver(ctx, config)
	if got.version == "" {
		return err
	}
	c.mu.Lock()
	if got.ours != l.text { // some of it was refused
		actual, _ := Parse(got.ours) // by us a moment ago
		c.force.give(actual.policies())
		l.given = ""
	}
	c.force.name(got.version)
	c.mu.Unlock()
	l.holds = got.ours
	l.await()
	return err
}

// next returns when there is something to do.
func (c *Courier) next() time.Time {
	l := &c.loop
	at := time.Now().Add(idle)
	soonest := func(when time.Time) {
		if when.Before(at) {
			at = when
		}
	}
	if len(c.problems) > 0 {
		soonest(time.Now().Add(glance))
	}
	switch {
	case !l.seeded:
		soonest(time.Now().Add(firstTry))
		return at
	case l.rendered != nil && l.text != l.holds && l.found == nil:
		soonest(c.deliverAt())
	}
	soonest(l.pollAt)
	if l.waiting {
		soonest(l.tellAt)
	}
	return at
}
