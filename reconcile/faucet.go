// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"time"

	"dovesnap/spec"
)

// Faucet is the configuration of Faucet's that dovesnap keeps. Nothing here waits
// for Faucet, which may be away for hours.
type Faucet interface {
	// Admit refuses a network that clashes with what others have in Faucet.
	Admit(spec.Network) error
	// Want replaces what Faucet should know, which is then delivered and confirmed.
	Want(spec.State, map[spec.NetworkID][]spec.ForeignPort)
	// Settled reports whether Faucet can have no other configuration for the
	// endpoint's port than the one that the endpoint wants.
	Settled(spec.Network, spec.Endpoint) bool
	// Refused tells why the endpoint cannot have what it wants.
	Refused(spec.Network, spec.Endpoint) error
	// Confirmed reports whether Faucet says that it has all that it should.
	Confirmed() bool
	// Changed receives when any of this may have changed.
	Changed() <-chan struct{}
}

// noFaucet stands for a Faucet whose configuration is the operator's.
type noFaucet struct{}

func (noFaucet) Admit(spec.Network) error                               { return nil }
func (noFaucet) Want(spec.State, map[spec.NetworkID][]spec.ForeignPort) {}
func (noFaucet) Settled(spec.Network, spec.Endpoint) bool               { return true }
func (noFaucet) Refused(spec.Network, spec.Endpoint) error              { return nil }
func (noFaucet) Confirmed() bool                                        { return false }
func (noFaucet) Changed() <-chan struct{}                               { return nil }

// guards reports whether an endpoint of the network is held until its ACL is known
// and in force.
func (e *Engine) guards(n spec.Network) bool { return e.cfg.Faucet != nil && len(n.Controllers) > 0 }

// mayPass reports whether an endpoint's packets may pass: its labels are known, or
// a driver-opt has said what they could, and Faucet has nothing laxer in force.
func (e *Engine) mayPass(n spec.Network, ep spec.Endpoint) bool {
	switch {
	case !e.guards(n):
		return true
	case !ep.Labelled && ep.ACL == "":
		return false
	case ep.ACL == "" && e.wrong[ep.ID].unclear || e.faucet.Refused(n, ep) != nil:
		return false
	}
	return e.faucet.Settled(n, ep)
}

// policyError tells why an endpoint will not be let through until somebody acts.
func (e *Engine) policyError(n spec.Network, ep spec.Endpoint) error {
	if wrong, ok := e.wrong[ep.ID]; ok {
		return wrong
	}
	if e.guards(n) {
		return e.faucet.Refused(n, ep)
	}
	return nil
}

// slip is what is wrong with a container's labels.
type slip struct {
	error
	unclear bool // which ACL they ask for cannot be told
}

// want tells Faucet of the State.
func (e *Engine) want() { e.faucet.Want(e.State(), e.foreign) }

// lookPorts sees what others put on our bridges.
func (e *Engine) lookPorts(ctx context.Context) {
	if e.cfg.Faucet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, itemTimeout)
	defer cancel()
	foreign, err := e.sw.ForeignPorts(ctx)
	e.report("ports of others", err)
	if err == nil && !reflect.DeepEqual(foreign, e.foreign) {
		e.log.Info("ports of others changed", "ports", foreign)
		e.foreign = foreign
		e.want()
	}
}

// Named takes the name that Docker gave a network, which is Faucet's for its
// datapath.
func (e *Engine) Named(ctx context.Context, id spec.NetworkID, name string) error {
	return e.do(ctx, func(ctx context.Context) error { return e.name(ctx, id, name) })
}

func (e *Engine) name(ctx context.Context, id spec.NetworkID, name string) error {
	n, ok := e.network(id)
	if !ok || name == "" || n.Name == name {
		return nil
	}
	n.Name = name
	e.change(func(s spec.State) { s.Networks[id] = n })
	e.want()
	err := e.sw.NoteNetwork(ctx, n)
	for _, other := range e.State().Networks {
		if len(other.AllowForward) > 0 { // by name
			return errors.Join(err, e.applyFirewall(ctx))
		}
	}
	return err
}

// Attached takes the name and the labels of the container that an endpoint is of.
func (e *Engine) Attached(ctx context.Context, _ spec.NetworkID, id spec.EndpointID, container string, labels map[string]string) error {
	return e.do(ctx, func(ctx context.Context) error {
		e.mu.Lock()
		names := maps.Clone(e.names.Containers)
		if names == nil {
			names = map[spec.EndpointID]string{}
		}
		names[id] = container
		e.names.Containers = names
		e.mu.Unlock()
		return e.label(ctx, id, labels)
	})
}

// label gives an endpoint what its container's labels say, where no driver-opt has
// said it, and lets it through if that may be. Labels never change.
func (e *Engine) label(ctx context.Context, id spec.EndpointID, labels map[string]string) error {
	ep, ok := e.endpoint(id)
	if !ok || ep.Labelled {
		return nil
	}
	n, ok := e.network(ep.Network)
	if !ok {
		return nil
	}
	said, err := spec.ParseLabels(labels)
	if !e.cfg.Labels {
		said, err = spec.Labels{}, nil
	}
	if err == nil && said.ACL != "" {
		err = spec.CheckPort(n, spec.Endpoint{ACL: said.ACL}, e.cfg.Faucet != nil)
	}
	if err != nil {
		e.wrong[id] = slip{err, said.Unclear}
		e.report(SubjectEndpoint(id), err)
	}
	ep.Labelled = true
	if ep.ACL == "" && e.guards(n) {
		ep.ACL = said.ACL
	}
	if ep.MACPrefix == "" && said.MACPrefix != "" {
		ep.MACPrefix, ep.MAC = said.MACPrefix, said.MACPrefix.On(ep.MAC)
	}
	e.change(func(s spec.State) { s.Endpoints[id] = ep })
	e.want()
	if err := e.setMAC(ctx, id); err != nil {
		e.report(SubjectEndpoint(id), err)
	}
	if ep.Held {
		return e.letThrough(ctx, n, ep)
	}
	return e.sw.NotePort(ctx, ep)
}

// Started gives the interfaces of a container that runs now the MAC addresses that
// its labels ask for: before, they are Docker's to set.
func (e *Engine) Started(ctx context.Context, ids []spec.EndpointID) error {
	return e.do(ctx, func(ctx context.Context) error {
		var errs []error
		for _, id := range ids {
			errs = append(errs, e.setMAC(ctx, id))
		}
		return errors.Join(errs...)
	})
}

// setMAC gives an endpoint's interface the MAC address that its label asks for,
// wherever it is.
func (e *Engine) setMAC(ctx context.Context, id spec.EndpointID) error {
	ep, ok := e.endpoint(id)
	if !ok || ep.MACPrefix == "" {
		return nil
	}
	_, err := e.links.SetMAC(ctx, id, ep.MAC)
	return err
}

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
		e.item(ctx, SubjectNetwork(n.ID), func(ctx context.Context) error {
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
		if !ok || !ep.Held {
			continue
		}
		e.item(ctx, SubjectEndpoint(id), func(ctx context.Context) error {
			if err := e.letThrough(ctx, n, ep); err != nil {
				return err
			}
			return e.policyError(n, ep)
		})
	}
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
			continue
		}
		e.asked[id]++
		e.item(ctx, "neighbour "+SubjectEndpoint(id), func(ctx context.Context) error { return e.links.Resolve(ctx, n, ep) })
	}
	if len(e.asked) > 0 {
		e.asking.Reset(askEvery)
	}
}
