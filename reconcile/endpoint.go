// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"dovesnap/spec"
)

// CreateEndpoint attaches an endpoint and returns it with its OF port, or leaves
// nothing. A repeated call gets the endpoint that the first one made.
func (e *Engine) CreateEndpoint(ctx context.Context, ep spec.Endpoint) (spec.Endpoint, error) {
	asked := ep.OFPort
	err := e.do(ctx, func(ctx context.Context) error {
		if old, ok := e.endpoint(ep.ID); ok {
			ep = old
			return nil
		}
		n, ok := e.network(ep.Network)
		if !ok {
			return unknownNetwork(ep.Network)
		}
		if err := spec.CheckPort(n, ep, e.cfg.Faucet != nil); err != nil {
			return err
		}
		if err := e.dropDead(ctx, ep); err != nil {
			return err
		}
		if err := e.choose(n, &ep); err != nil {
			return err
		}
		var err error
		if ep, err = e.applyEndpoint(ctx, n, ep); err != nil {
			e.undo(ctx, func(ctx context.Context) error { return e.dropEndpoint(ctx, ep.ID) })
			return err
		}
		if asked != 0 && ep.OFPort != asked {
			e.undo(ctx, func(ctx context.Context) error { return e.dropEndpoint(ctx, ep.ID) })
			return fmt.Errorf("driver-opt ovs.port.ofport: OpenFlow port %d of bridge %q is somebody else's", asked, n.Bridge)
		}
		e.change(func(s spec.State) { s.Endpoints[ep.ID] = ep })
		e.want()
		if ep.Held && ep.ACL != "" { // nothing to wait for but Faucet
			if err := e.letThrough(ctx, n, ep); err != nil {
				e.log.Warn("cannot let an endpoint through; the next pass will", "endpoint", ep.ID.Short(), "err", err)
			}
		}
		if !n.Routed() && len(ep.PortMaps) > 0 {
			e.log.Warn("published ports have no effect in mode flat: all ports of a container are on the LAN", "network", n.ID.Short(), "endpoint", ep.ID.Short())
		}
		if len(n.Controllers) > 0 {
			e.listen.Reset(listenAfter)
		}
		e.docker.touch(string(ep.ID))
		e.log.Info("endpoint attached", "network", n.ID.Short(), "endpoint", ep.ID.Short(), "bridge", n.Bridge, "port", spec.HostLink(ep.ID), "ofport", ep.OFPort)
		return nil
	})
	return ep, err
}

// dropDead removes endpoints that have one of the addresses of a new one, unless a
// container holds their link. Docker gives an address to one at a time: they died
// with dockerd, which sends no DeleteEndpoint for those, and whose API is silent
// while it starts the containers again. These get the OF ports of the dead.
func (e *Engine) dropDead(ctx context.Context, ep spec.Endpoint) error {
	var dead []spec.EndpointID
	for _, old := range e.State().EndpointsOf(ep.Network) {
		if slices.ContainsFunc(old.Addresses, func(a netip.Prefix) bool { return slices.Contains(ep.Addresses, a) }) {
			dead = append(dead, old.ID)
		}
	}
	if dead == nil {
		return nil
	}
	found, err := e.links.Endpoints(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Held {
			dead = slices.DeleteFunc(dead, func(id spec.EndpointID) bool { return id == f.Alias.Endpoint })
		}
	}
	for _, id := range dead {
		e.log.Info("removing an endpoint whose address Docker gives to another", "endpoint", id.Short(), "by", ep.ID.Short())
		if err := e.dropEndpoint(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// choose fills in what a new endpoint's request left open.
func (e *Engine) choose(n spec.Network, ep *spec.Endpoint) error {
	ep.Boot = e.cfg.BootID
	if ep.MAC == "" {
		prefix := ep.MACPrefix
		if prefix == "" {
			prefix = n.MACPrefix
		}
		ep.MAC = spec.EndpointMAC(ep.ID, ep.Addresses, prefix)
		if prefix != "" {
			if err := e.distinct(*ep, prefix); err != nil {
				return err
			}
		}
	}
	ep.Held = e.guards(n) // until its labels are known, and Faucet has them
	state := e.State()
	if ep.OFPort != 0 {
		return state.ClaimOFPort(n.ID, ep.OFPort)
	}
	// Preferably one for which Faucet has the default, not what another left: most
	// endpoints want that, and for the others it's a change of the ACL alone.
	var ok bool
	ep.OFPort, ok = state.FreeOFPort(n.ID, func(p spec.OFPort) bool {
		return e.faucet.Settled(n, spec.Endpoint{Network: n.ID, OFPort: p})
	})
	if !ok {
		return fmt.Errorf("cannot attach endpoint %q: all OpenFlow ports of bridge %q are used", ep.ID.Short(), n.Bridge)
	}
	return nil
}

// distinct refuses the MAC address that a long prefix makes of two IP addresses. An
// endpoint with the same IP address is one that is about to go: see dropDead.
func (e *Engine) distinct(ep spec.Endpoint, prefix spec.MACPrefix) error {
	for id, other := range e.State().Endpoints {
		same := func(a netip.Prefix) bool { return slices.Contains(ep.Addresses, a) }
		if other.Network == ep.Network && other.MAC == ep.MAC && !slices.ContainsFunc(other.Addresses, same) {
			return fmt.Errorf("cannot attach endpoint %q: its MAC address, %s, is that of endpoint %q: prefix %q leaves too few of them", ep.ID.Short(), ep.MAC, id.Short(), prefix)
		}
	}
	return nil
}

// applyEndpoint makes the endpoint's link and port as the spec says. When
// somebody else's port has its number, the one that OVS gave is kept and pinned.
func (e *Engine) applyEndpoint(ctx context.Context, n spec.Network, ep spec.Endpoint) (spec.Endpoint, error) {
	_, txOff := e.cfg.Datapath(ctx, n)
	for range 2 {
		if err := e.links.EnsureVeth(ctx, n, ep, txOff); err != nil {
			return ep, err
		}
		real, err := e.sw.EnsurePort(ctx, n, ep)
		if err != nil || real == ep.OFPort {
			return ep, err
		}
		e.log.Warn("OpenFlow port is taken, using another", "network", n.ID.Short(), "port", spec.HostLink(ep.ID), "ofport", real, "wanted", ep.OFPort)
		ep.OFPort = real
	}
	return ep, fmt.Errorf("cannot pin port %q: Open vSwitch keeps changing its number", spec.HostLink(ep.ID))
}

// Join returns an endpoint and its network for the container that joins them.
func (e *Engine) Join(ctx context.Context, nid spec.NetworkID, eid spec.EndpointID) (spec.Network, spec.Endpoint, error) {
	var n spec.Network
	var ep spec.Endpoint
	err := e.do(ctx, func(ctx context.Context) error {
		var ok bool
		if n, ok = e.network(nid); !ok {
			return unknownNetwork(nid)
		}
		if ep, ok = e.endpoint(eid); !ok {
			return fmt.Errorf("endpoint %q is not known to dovesnap; start the container again", eid.Short())
		}
		if n.Routed() {
			return e.fw.EnsureForwarding(ctx, e.State().SortedNetworks())
		}
		return nil
	})
	return n, ep, err
}

// DeleteEndpoint detaches an endpoint; an unknown one is fine, and what there
// might be of it goes too.
func (e *Engine) DeleteEndpoint(ctx context.Context, id spec.EndpointID) error {
	return e.do(ctx, func(ctx context.Context) error {
		e.docker.touch(string(id))
		if err := e.dropEndpoint(ctx, id); err != nil {
			return err
		}
		e.log.Info("endpoint removed", "endpoint", id.Short())
		return nil
	})
}

// dropEndpoint removes the port before the link, so that vswitchd never sees a
// port without one.
func (e *Engine) dropEndpoint(ctx context.Context, id spec.EndpointID) error {
	unpublished := e.unpublish(ctx, id)
	e.change(func(s spec.State) { delete(s.Endpoints, id) })
	e.forget(SubjectEndpoint(id))
	delete(e.wrong, id)
	delete(e.closing, id)
	delete(e.nudges, id)
	e.want()
	return errors.Join(unpublished, e.sw.DeletePort(ctx, id), e.links.DeleteVeth(ctx, id))
}
