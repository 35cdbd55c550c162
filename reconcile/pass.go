// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"

	"dovesnap/link"
	"dovesnap/spec"
)

// errNoLink says that an endpoint's container is gone, or never joined; Docker
// decides which.
var errNoLink = errors.New("its link is gone: restart the container if it still runs; else this goes once Docker confirms that it does not")

// pass makes the host equal to the State: removes what died with an earlier
// boot, repairs each network and endpoint on its own, sweeps what is ours and
// not in the State. One failure does not keep it from the rest. Mutations that
// came in meanwhile have their turn between the items.
func (e *Engine) pass(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	e.dropEarlierBoots(ctx)
	e.holdPorts()
	state := e.State()
	found, err := e.links.Endpoints(ctx)
	e.report("links", err)
	present := byEndpoint(found)
	e.report("packet filter", e.repairFirewall(ctx))
	for _, n := range state.SortedNetworks() {
		e.breathe()
		e.repairNetwork(ctx, n, state.EndpointsOf(n.ID), present)
	}
	e.report("sweep", e.sweep(ctx, found))
}

// repairNetwork repairs a network and its endpoints. When one of them runs out of
// time, vswitchd hangs, and the rest of the network waits for the next pass.
func (e *Engine) repairNetwork(ctx context.Context, n spec.Network, endpoints []spec.Endpoint, present map[spec.EndpointID]link.Found) {
	raised := false
	inTime := e.item(ctx, SubjectNetwork(n.ID), func(ctx context.Context) (err error) {
		if n, ok := e.network(n.ID); ok { // else removed since the pass began
			raised, err = e.applyBridge(ctx, n)
		}
		return err
	})
	if e.troubled(SubjectNetwork(n.ID)) {
		return
	}
	for _, ep := range endpoints {
		if !inTime {
			return
		}
		e.breathe()
		inTime = e.item(ctx, SubjectEndpoint(ep.ID), func(ctx context.Context) error {
			ep, ok := e.endpoint(ep.ID) // as it is by now
			n, known := e.network(n.ID)
			if !ok || !known {
				return nil
			}
			return e.repair(ctx, n, ep, present)
		})
	}
	n, ok := e.network(n.ID)
	if !ok || !inTime {
		return
	}
	e.item(ctx, SubjectNetwork(n.ID), func(ctx context.Context) error {
		return e.sw.EnsureControllers(ctx, n, raised, e.expected(n))
	})
	e.harkTo(ctx, n)
}

// item does one piece of a pass and reports on it; false when its time was up.
func (e *Engine) item(ctx context.Context, subject string, work func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, e.itemTimeout)
	defer cancel()
	e.report(subject, work(ctx))
	return ctx.Err() == nil
}

// breathe gives mutations that wait their turn.
func (e *Engine) breathe() {
	for {
		select {
		case o := <-e.ops:
			o.done <- e.guard(o)
		default:
			return
		}
	}
}

// dropEarlierBoots removes endpoints that were made before the host started:
// their containers are gone, and Docker never says so.
func (e *Engine) dropEarlierBoots(ctx context.Context) {
	for id, ep := range e.State().Endpoints {
		if ep.Boot == e.cfg.BootID {
			continue
		}
		e.log.Info("removing an endpoint of an earlier boot", "endpoint", id.Short(), "ofport", ep.OFPort)
		e.report(SubjectEndpoint(id), e.dropEndpoint(ctx, id))
	}
}

func (e *Engine) repair(ctx context.Context, n spec.Network, ep spec.Endpoint, present map[spec.EndpointID]link.Found) error {
	if _, ok := present[ep.ID]; !ok {
		return errNoLink
	}
	if !ep.Held && e.taken(n) {
		if err := e.hold(ctx, n, ep); err != nil {
			return err
		}
		ep, _ = e.endpoint(ep.ID)
	}
	if ep.Held && e.mayPass(n, ep) { // before the link is found to be up, and set down
		if err := e.letThrough(ctx, n, ep); err != nil {
			return err
		}
		ep, _ = e.endpoint(ep.ID)
	}
	now, err := e.applyEndpoint(ctx, n, ep)
	if err != nil {
		return err
	}
	if now.OFPort != ep.OFPort {
		e.report("number of "+SubjectEndpoint(ep.ID), fmt.Errorf("OpenFlow port %d is somebody else's now, so that it has %d until its container is started again", ep.OFPort, now.OFPort))
		e.change(func(s spec.State) { s.Endpoints[ep.ID] = now })
		e.want()
	}
	if err := e.setMAC(ctx, ep.ID); err != nil {
		return err
	}
	return e.wrong[ep.ID]
}

// repairFirewall writes the rules again when somebody changed them, and when
// they were not written yet or the last writing failed.
func (e *Engine) repairFirewall(ctx context.Context) error {
	if e.rulesWritten {
		changed, err := e.fw.Check(ctx)
		if err != nil || !changed {
			return err
		}
		e.log.Warn("the packet filter's rules were changed by somebody else; writing them again")
	}
	return e.applyFirewall(ctx)
}

func (e *Engine) applyFirewall(ctx context.Context) error {
	networks, endpoints := e.rules()
	err := e.fw.Apply(ctx, networks, endpoints)
	e.rulesWritten = err == nil
	return err
}

// sweep removes rows and links of ours that are not in the State: what a crash
// left half-made, or what could not be removed when Docker asked.
func (e *Engine) sweep(ctx context.Context, found []link.Found) error {
	stored, err := e.sw.Load(ctx)
	if err != nil {
		return err // a row that cannot be read must not count as absent
	}
	state := e.State()
	var errs []error
	for id := range stored.Endpoints {
		if _, ok := state.Endpoints[id]; !ok {
			e.log.Info("sweeping a leftover port", "endpoint", id.Short())
			errs = append(errs, e.sw.DeletePort(ctx, id), e.links.DeleteVeth(ctx, id))
		}
	}
	for _, f := range found {
		if _, ok := state.Endpoints[f.Alias.Endpoint]; !ok && !f.Held {
			e.log.Info("sweeping a leftover link", "endpoint", f.Alias.Endpoint.Short())
			errs = append(errs, e.links.DeleteVeth(ctx, f.Alias.Endpoint))
		}
	}
	for id, n := range stored.Networks {
		if _, ok := state.Networks[id]; !ok {
			e.log.Info("sweeping a leftover bridge", "network", id.Short())
			errs = append(errs, e.removeBridge(ctx, n))
		}
	}
	errs = append(errs, e.sw.SweepQoS(ctx), e.links.SweepUplinks(ctx, func(id spec.NetworkID) bool {
		_, wanted := state.Networks[id]
		return wanted
	}))
	return errors.Join(errs...)
}
