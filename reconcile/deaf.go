// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"time"

	"dovesnap/spec"
)

const (
	// listenAfter is how long after an endpoint was let through it is looked at
	// whether the controllers have heard of its port.
	listenAfter = time.Second
	// maxNudges is how often a port is told again a second later; after that the
	// controller does not want it, or is away, and the passes go on for a while.
	maxNudges = 3
	// lastNudge is how often it is told at all.
	lastNudge = 10
)

// unheard has ports told again that their controllers let nothing in from, although
// they have flows in the bridge. Faucet does not hear of a port that comes up in
// the middle of its handshake, and would never forward to it.
func (e *Engine) unheard(ctx context.Context, n spec.Network) error {
	endpoints := e.State().EndpointsOf(n.ID)
	if len(n.Controllers) == 0 || len(endpoints) == 0 {
		return nil
	}
	heard, err := e.sw.Heard(ctx, n)
	if err != nil || heard == nil {
		return err
	}
	for _, ep := range endpoints {
		switch {
		case heard[ep.OFPort]:
			delete(e.nudges, ep.ID)
		case ep.Held || e.nudges[ep.ID] >= lastNudge:
		default:
			e.nudges[ep.ID]++
			e.log.Info("no controller lets in what comes by a port; they are told of it again", "network", n.ID.Short(), "endpoint", ep.ID.Short(), "ofport", ep.OFPort)
			if err := e.links.Nudge(ctx, ep.ID); err != nil {
				return err
			}
			if e.nudges[ep.ID] < maxNudges {
				e.listen.Reset(listenAfter)
			}
		}
	}
	return nil
}

// hark looks after all networks' ports that nobody may have heard of.
func (e *Engine) hark(ctx context.Context) {
	for _, n := range e.State().SortedNetworks() {
		e.breathe()
		e.harkTo(ctx, n)
	}
}

func (e *Engine) harkTo(ctx context.Context, n spec.Network) {
	e.item(ctx, "ports of "+SubjectNetwork(n.ID), func(ctx context.Context) error { return e.unheard(ctx, n) })
}
