// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dovesnap/spec"
)

// Publish makes the host pass on what the endpoint's container asks to publish:
// all of it, or nothing. Asked again for the same it changes nothing, and for
// nothing it takes back what there is.
func (e *Engine) Publish(ctx context.Context, nid spec.NetworkID, id spec.EndpointID, maps []spec.PortMap) error {
	return e.do(ctx, func(ctx context.Context) error {
		n, ok := e.network(nid)
		if !ok {
			return unknownNetwork(nid)
		}
		ep, ok := e.endpoint(id)
		if !ok {
			return fmt.Errorf("endpoint %q is not known to dovesnap; start the container again", id.Short())
		}
		if len(maps) == 0 {
			return e.unpublish(ctx, id)
		}
		if err := spec.CheckPublish(n, maps); err != nil {
			return err
		}
		return e.publish(ctx, n, ep, maps)
	})
}

func (e *Engine) publish(ctx context.Context, n spec.Network, ep spec.Endpoint, maps []spec.PortMap) error {
	before := ep.Published
	published, err := e.cfg.Ports.Reserve(ep.ID, maps, ep.Addresses)
	if err != nil && e.dropGone(ctx, ep.ID) {
		published, err = e.cfg.Ports.Reserve(ep.ID, maps, ep.Addresses)
	}
	if err != nil {
		return errors.Join(err, e.unpublish(ctx, ep.ID))
	}
	if slices.Equal(before, published) {
		return nil
	}
	ep.Published = published
	e.change(func(s spec.State) { s.Endpoints[ep.ID] = ep }) // also what gets half-way is to be taken back
	if err = e.fw.Publish(ctx, n, ep); err == nil {
		err = e.sw.NotePort(ctx, ep)
	}
	if err != nil {
		e.undo(ctx, func(ctx context.Context) error { return e.unpublish(ctx, ep.ID) })
		return err
	}
	for _, p := range published {
		e.log.Info("port published", "network", n.ID.Short(), "endpoint", ep.ID.Short(), "port", p)
	}
	return nil
}

// dropGone removes the endpoints, but for one, that publish ports and that their
// containers have left, and reports whether there were any. They died with dockerd, or
// while dovesnap was down; their containers are started again as others, perhaps at
// other addresses, that want the same ports.
func (e *Engine) dropGone(ctx context.Context, but spec.EndpointID) bool {
	found, err := e.links.Endpoints(ctx)
	if err != nil {
		e.log.Warn("cannot see whose containers are gone", "err", err)
		return false
	}
	present, dropped := byEndpoint(found), false
	for id, ep := range e.State().Endpoints {
		if len(ep.Published) == 0 || id == but || !e.left(ep, present) {
			continue
		}
		e.log.Info("removing an endpoint whose container is gone, for its ports", "endpoint", id.Short())
		e.report(SubjectEndpoint(id), e.dropEndpoint(ctx, id))
		dropped = true
	}
	return dropped
}

// Unpublish takes back what an endpoint publishes; nothing, and an unknown one, is
// fine. Docker announces it by one call, by another, or not at all.
func (e *Engine) Unpublish(ctx context.Context, id spec.EndpointID) error {
	return e.do(ctx, func(ctx context.Context) error { return e.unpublish(ctx, id) })
}

func (e *Engine) unpublish(ctx context.Context, id spec.EndpointID) error {
	defer e.cfg.Ports.Release(id) // when nothing is redirected any more
	ep, ok := e.endpoint(id)
	if ok && len(ep.Published) == 0 {
		return nil
	}
	err := e.fw.Unpublish(ctx, id)
	if !ok {
		return err
	}
	ep.Published = nil
	e.change(func(s spec.State) { s.Endpoints[id] = ep })
	return errors.Join(err, e.sw.NotePort(ctx, ep))
}

// holdPorts takes the host's ports that an earlier dovesnap published, and those that
// somebody else had when it tried before.
func (e *Engine) holdPorts() {
	for id, ep := range e.State().Endpoints {
		if len(ep.Published) > 0 && ep.Boot == e.cfg.BootID {
			e.report("published ports of "+SubjectEndpoint(id), e.cfg.Ports.Hold(id, ep.Published))
		}
	}
}

// lookFirewall writes the rules again soon after somebody has flushed them.
func (e *Engine) lookFirewall(ctx context.Context) {
	e.item(ctx, "packet filter", e.repairFirewall)
	e.mindForwarding(ctx)
}

// rules are what the packet filter is made of.
func (e *Engine) rules() ([]spec.Network, []spec.Endpoint) {
	state := e.State()
	var endpoints []spec.Endpoint
	for _, ep := range state.Endpoints {
		if len(ep.Published) > 0 {
			endpoints = append(endpoints, ep)
		}
	}
	return state.SortedNetworks(), endpoints
}
