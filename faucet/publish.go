// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"maps"

	"dovesnap/spec"
)

// Status is what `dovesnap status` shows.
type Status struct {
	Mode      string // "file" or "rpc"
	Delivered bool   // Faucet's configuration holds what is wanted
	Confirmed bool   // and Faucet says that it has loaded it
	LastError string // what is wrong with either; "" when nothing is
}

// faucetSubject names the delivery as a whole in Problems.
const faucetSubject = "faucet"

// problems returns what cannot be had of what is wanted, by subject.
func (w Wanted) problems(o Others, c Config) map[string]string {
	out := map[string]string{}
	for _, n := range w.State.Networks {
		if err := o.networkProblem(n, c); err != nil {
			out[fmt.Sprintf("network %q", n.Name)] = err.Error()
		}
	}
	for id, e := range w.State.Endpoints {
		n := w.State.Networks[e.Network]
		own := e.ACL.For(n.Name)
		if own == nil || !managed(n) {
			continue
		}
		err := o.missing(own)
		if err == nil {
			err = c.both(own, o)
		}
		if err != nil {
			out["endpoint "+id.Short()] = fmt.Sprintf("%v; until that is mended, its port is to drop everything", err)
		}
	}
	return out
}

// publish makes known what is wrong and how far things are.
func (c *Courier) publish(s seen) {
	l := &c.loop
	problems := maps.Clone(l.problems)
	if problems == nil {
		problems = map[string]string{}
	}
	if err := c.trouble(s); err != nil {
		problems[faucetSubject] = err.Error()
	}
	status := Status{Mode: c.b.mode(), LastError: problems[faucetSubject]}
	status.Delivered = l.rendered != nil && l.text == l.holds
	status.Confirmed = status.Delivered && (l.confirmed || !c.anything())

	c.mu.Lock()
	news := !maps.Equal(problems, c.problems) || status != c.status
	before := c.problems
	c.problems, c.status = problems, status
	c.mu.Unlock()
	if !news {
		return
	}
	c.report(before, problems)
	signal(c.changed)
}

// report logs problems when they begin, change and end.
func (c *Courier) report(before, now map[string]string) {
	for subject, text := range now {
		if before[subject] != text {
			c.log.Error("problem", "subject", subject, "err", text)
		}
	}
	for subject := range before {
		if _, still := now[subject]; !still {
			c.log.Info("solved", "subject", subject)
		}
	}
}

// Problems returns what is wrong, by subject: "faucet", `network "office"`,
// "endpoint 0123456789ab".
func (c *Courier) Problems() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.problems)
}

// Status returns how far what is wanted has come.
func (c *Courier) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Confirmed reports whether Faucet says that it has loaded all that is wanted.
func (c *Courier) Confirmed() bool { return c.Status().Confirmed }

// Refused tells why an endpoint's policy cannot be had; nil when it can. Its port
// passes nothing then.
func (c *Courier) Refused(n spec.Network, e spec.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others.Where == "" { // nothing is known yet
		return nil
	}
	return c.others.refused(n, e, c.config)
}

// Taken reports whether Faucet has the network's datapath id for somebody else's
// datapath, so that its bridge obeys that one's rules.
func (c *Courier) Taken(n spec.Network) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return managed(n) && c.others.refuseDPID(n) != nil
}
