// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"time"

	"dovesnap/spec"
)

// recheck is how soon an endpoint is looked at again that Faucet has not shut off
// yet.
const recheck = 20 * time.Millisecond

// expected reports whether the network's controllers may know its bridge: Faucet
// refuses the connection of one that it does not, and is told of it when Docker has
// told us the network's name.
func (e *Engine) expected(n spec.Network) bool { return e.cfg.Faucet == nil || n.Name != "" }

// introduce has the bridges of networks that Faucet has come to know try again at
// once, which otherwise pause for seconds after it refused them.
func (e *Engine) introduce(ctx context.Context) {
	if !e.faucet.Confirmed() {
		return
	}
	for _, n := range e.State().SortedNetworks() {
		if !e.guards(n) || n.Name == "" || e.introduced[n.ID] >= maxNudges {
			continue
		}
		e.introduced[n.ID]++
		e.item(ctx, "controllers of "+SubjectNetwork(n.ID), func(ctx context.Context) error {
			heard, err := e.sw.Heard(ctx, n)
			if err != nil {
				return err
			}
			if heard != nil {
				e.introduced[n.ID] = maxNudges
				return nil
			}
			return e.sw.EnsureControllers(ctx, n, true, false)
		})
	}
}

// release lets through whom Faucet has an answer for.
func (e *Engine) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	e.introduce(ctx)
	for id, ep := range e.State().Endpoints {
		n, ok := e.network(ep.Network)
		if !ok || !ep.Held && !e.taken(n) {
			continue
		}
		e.item(ctx, SubjectEndpoint(id), func(ctx context.Context) error {
			if !ep.Held {
				return e.hold(ctx, n, ep)
			}
			if err := e.letThrough(ctx, n, ep); err != nil {
				return err
			}
			return e.wrong[id]
		})
	}
}

// taken reports whether the network's bridge obeys what somebody else has in Faucet
// for its datapath id, who knows nothing of our ACLs.
func (e *Engine) taken(n spec.Network) bool { return e.guards(n) && e.faucet.Taken(n) }

// hold stops an endpoint that was let through.
func (e *Engine) hold(ctx context.Context, n spec.Network, ep spec.Endpoint) error {
	ep.Held = true
	e.change(func(s spec.State) { s.Endpoints[ep.ID] = ep })
	e.log.Warn("endpoint held: its network's datapath id is somebody else's in Faucet", "network", n.ID.Short(), "endpoint", ep.ID.Short())
	_, txOff := e.cfg.Datapath(ctx, n)
	return e.links.EnsureVeth(ctx, n, ep, txOff)
}

// letThrough sets the link of a held endpoint up when it may pass.
//
// When Faucet has something else for the port than the endpoint wants, its flows
// for it may be in the switch, and a change of them may be under way when Faucet
// says that it has the new configuration. So Faucet is made to forget the port
// (its link is down, and something changes about it), and the link comes up when
// the switch takes nothing from the port: then Faucet adds it anew, after whatever it
// had sent before.
func (e *Engine) letThrough(ctx context.Context, n spec.Network, ep spec.Endpoint) error {
	if !e.mayPass(n, ep) {
		if e.closing[ep.ID] || !ep.Labelled && ep.ACL == "" {
			return nil
		}
		e.closing[ep.ID] = true
		return e.links.Nudge(ctx, ep.ID)
	}
	if e.closing[ep.ID] {
		count, err := e.sw.Takes(ctx, n, ep.OFPort)
		if err != nil || count > 0 {
			e.again.Reset(recheck)
			return err
		}
	}
	ep.Held = false
	_, txOff := e.cfg.Datapath(ctx, n)
	if err := e.links.EnsureVeth(ctx, n, ep, txOff); err != nil {
		return err
	}
	if e.closing[ep.ID] {
		delete(e.closing, ep.ID)
		e.asked[ep.ID] = 0
		e.asking.Reset(askEvery)
	}
	e.listen.Reset(listenAfter)
	e.change(func(s spec.State) { s.Endpoints[ep.ID] = ep })
	e.log.Info("endpoint let through", "network", n.ID.Short(), "endpoint", ep.ID.Short(), "ofport", ep.OFPort, "acls", ep.ACLs(n))
	return e.sw.NotePort(ctx, ep)
}

const (
	askEvery = 50 * time.Millisecond
	maxAsks  = 6
)

// ask has the gateways ask for the endpoints that were let through a moment ago,
// whose containers may have asked for them in vain: Faucet takes some of these
// moments to let the port in.
func (e *Engine) ask(ctx context.Context) {
	for id, count := range e.asked {
		ep, ok := e.endpoint(id)
		n, known := e.network(ep.Network)
		if !ok || !known || ep.Held || count >= maxAsks {
			delete(e.asked, id)
			e.solved("neighbour " + SubjectEndpoint(id)) // it does by itself
			continue
		}
		e.asked[id]++
		e.item(ctx, "neighbour "+SubjectEndpoint(id), func(ctx context.Context) error { return e.links.Resolve(ctx, n, ep) })
	}
	if len(e.asked) > 0 {
		e.asking.Reset(askEvery)
	}
}
