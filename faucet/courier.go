// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"dovesnap/spec"
	"dovesnap/whole"
)

// Courier brings what is wanted to Faucet, and knows what has arrived. Its methods
// may be called at any time and from anywhere; none but Admit waits for anything but
// memory.
type Courier struct {
	b     backend
	owner string
	state string // file: see FileConfig.State
	log   *slog.Logger

	wake    chan struct{}
	changed chan struct{}
	loop    loop // Run's own

	mu       sync.Mutex // guards what follows, never held over I/O
	wanted   *Wanted    // nil before the first Want
	memory   Memory
	others   Others
	config   Config   // what the last Want is rendered to
	underway policies // of the version that is being delivered
	force    force
	problems map[string]string
	status   Status
}

// NewFile returns a Courier that writes a file which the operator's includes.
func NewFile(cfg FileConfig, log *slog.Logger) *Courier {
	return newCourier(newFileBackend(cfg), "", cfg.State, log)
}

func newCourier(b backend, owner, state string, log *slog.Logger) *Courier {
	return &Courier{
		b: b, owner: owner, state: state, log: log, wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		memory: Memory{}, force: force{unknown: true}, problems: map[string]string{}, status: Status{Mode: b.mode()},
	}
}

// Want replaces what Faucet should know. The caller must not change it afterwards.
func (c *Courier) Want(state spec.State, foreign map[spec.NetworkID][]spec.ForeignPort) {
	c.mu.Lock()
	c.wanted = &Wanted{State: state, Foreign: foreign, Owner: c.owner}
	c.mu.Unlock()
	signal(c.wake)
}

// Changed is signalled when what is settled, or a problem, may have changed.
func (c *Courier) Changed() <-chan struct{} { return c.changed }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Settled reports whether Faucet cannot have another configuration for the
// endpoint's port than the one it wants, so that it may be let through. Want must
// have been called with the endpoint.
func (c *Courier) Settled(n spec.Network, e spec.Endpoint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := port{n.DPID, e.OFPort}
	switch {
	case len(n.Controllers) == 0:
		return true // Faucet has no say
	case c.force.unknown: // at once: asked for each of many ports
		return false
	case c.others.refuse(n, c.config) != nil:
		return false // the operator's datapath may be in force there
	case n.Name == "":
		return c.unknownToFaucet(at)
	}
	vlans := c.config.VLANs
	if v, ours := c.others.vlan(n, c.owner); ours {
		vlans = withVLAN(vlans, n.VLAN, v)
	}
	want := c.config.wants(n, e, c.others).policy(vlans)
	for _, p := range c.underway[at] {
		if p != want {
			return false
		}
	}
	return c.force.only(at, want)
}

func (c *Courier) unknownToFaucet(at port) bool {
	for _, v := range c.force.versions {
		if len(v.ports[at]) > 0 {
			return false
		}
	}
	return len(c.underway[at]) == 0
}

func withVLAN(vlans map[int]VLAN, vid int, v VLAN) map[int]VLAN {
	out := map[int]VLAN{vid: v}
	for other, v := range vlans {
		if other != vid {
			out[other] = v
		}
	}
	return out
}

// Run delivers until ctx ends. There is one for a file, on all of the host.
func (c *Courier) Run(ctx context.Context) error {
	if err := errors.Join(c.b.sweep(), whole.Sweep(c.state)); err != nil {
		c.log.Warn("what an earlier dovesnap did not finish is left", "err", err)
	}
	for ctx.Err() == nil {
		timer := time.NewTimer(c.step(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.wake:
		}
		timer.Stop()
	}
	return nil
}

// Admit refuses at `docker network create` what is known then to be impossible.
// It reads what there is now, for a second at most: the operator may have added an
// ACL just before.
func (c *Courier) Admit(n spec.Network) error {
	others, err := c.b.fresh()
	if err != nil {
		if names := aclsOf(n); len(names) > 0 && len(n.Controllers) > 0 {
			return fmt.Errorf("cannot tell whether there are ACLs %s: %w", strings.Join(names, ", "), err)
		}
		return nil
	}
	c.mu.Lock()
	var beside spec.State
	if c.wanted != nil {
		beside = c.wanted.State
	}
	c.mu.Unlock()
	return others.admit(n, beside)
}
