// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"slices"
	"time"

	"dovesnap/spec"
)

// DockerView is what Docker's API said, whole and at one time.
type DockerView struct {
	Taken    time.Time // when the asking began
	Networks map[spec.NetworkID]DockerNetwork
	Bridges  []string // the host's links of the networks of Docker's own driver
}

// DockerNetwork is one network of ours as Docker has it.
type DockerNetwork struct {
	Name      string
	Request   spec.Request // as CreateNetwork would have carried it
	Endpoints map[spec.EndpointID]DockerEndpoint
}

// DockerEndpoint is one attached container as Docker has it.
type DockerEndpoint struct {
	Container string
	Request   spec.EndpointRequest
	Labels    map[string]string // the container's
	Labelled  bool              // Labels are known; Docker may not list the container yet
	Running   bool              // its interface is inside the container
}

// See compares the State with what Docker said: takes the names, adopts what
// Docker has and the State lacks (Open vSwitch's database was lost), and drops
// what Docker has not known for the whole grace.
func (e *Engine) See(ctx context.Context, v DockerView) error {
	return e.do(ctx, func(ctx context.Context) error {
		e.takeNames(v)
		e.docker.seen = v.Taken
		for id, n := range v.Networks {
			e.adopt(ctx, id, n, v)
			e.report("name of "+SubjectNetwork(id), e.name(ctx, id, n.Name))
			for eid, ep := range n.Endpoints {
				if ep.Labelled {
					e.report("labels of "+SubjectEndpoint(eid), e.label(ctx, eid, ep.Labels))
				}
				if ep.Running {
					e.report("MAC of "+SubjectEndpoint(eid), e.setMAC(ctx, eid))
				}
			}
		}
		e.dropForgotten(ctx, v)
		if e.fw.KnowDocker(v.Bridges) {
			e.report("packet filter", e.applyFirewall(ctx))
		}
		e.mindForwarding(ctx)
		e.docker.prune(v, e.cfg.Grace)
		return nil
	})
}

// mindForwarding switches on what others may have switched off, while Docker is known
// to run: see nat's EnsureForwarding.
func (e *Engine) mindForwarding(ctx context.Context) {
	if e.docker.now().Sub(e.docker.seen) < dockerRuns {
		e.report("forwarding", e.fw.EnsureForwarding(ctx, e.State().SortedNetworks()))
	}
}

// Lacks returns those of the endpoints that are not in the State, once that has been
// read: a view is to have them as they are to be restored.
func (e *Engine) Lacks(ctx context.Context, ids []spec.EndpointID) ([]spec.EndpointID, error) {
	select {
	case <-e.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id spec.EndpointID) bool {
		_, known := e.endpoint(id)
		return known
	}), nil
}

func (e *Engine) takeNames(v DockerView) {
	names := Names{Networks: map[spec.NetworkID]string{}, Containers: map[spec.EndpointID]string{}}
	for id, n := range v.Networks {
		names.Networks[id] = n.Name
		for eid, ep := range n.Endpoints {
			names.Containers[eid] = ep.Container
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.names = names
}

func (e *Engine) adopt(ctx context.Context, id spec.NetworkID, d DockerNetwork, v DockerView) {
	if e.docker.fresh(string(id), v) {
		return
	}
	var missing []spec.EndpointRequest
	for eid, ep := range d.Endpoints {
		if _, ok := e.endpoint(eid); !ok && !e.docker.fresh(string(eid), v) {
			missing = append(missing, ep.Request)
		}
	}
	if n, ok := e.network(id); ok {
		e.adoptEndpoints(ctx, n, missing)
		return
	}
	n, err := spec.ParseNetwork(d.Request)
	if err == nil {
		n, err = e.standIn(ctx, n)
	}
	if err == nil {
		err = e.addNetwork(ctx, n, func() error { e.adoptEndpoints(ctx, n, missing); return nil })
	}
	e.report(SubjectNetwork(id), err)
	if err == nil {
		e.log.Info("network restored from Docker", "network", id.Short(), "bridge", n.Bridge)
	}
}

// adoptEndpoints restores endpoints whose links still exist. The link's alias
// tells the OF port that Faucet's rules know the container by.
func (e *Engine) adoptEndpoints(ctx context.Context, n spec.Network, requests []spec.EndpointRequest) {
	if len(requests) == 0 {
		return
	}
	found, err := e.links.Endpoints(ctx)
	if err != nil {
		e.report("links", err)
		return
	}
	ports := map[spec.EndpointID]spec.OFPort{}
	for _, f := range found {
		ports[f.Alias.Endpoint] = f.Alias.OFPort
	}
	for _, r := range requests {
		port, ok := ports[r.ID]
		if !ok {
			continue // not made yet, or already gone
		}
		ep, err := spec.ParseEndpoint(r)
		if err == nil {
			ep.OFPort = port
			err = e.choose(n, &ep)
		}
		if err == nil {
			ep, err = e.applyEndpoint(ctx, n, ep)
		}
		e.report(SubjectEndpoint(r.ID), err)
		if err == nil {
			e.change(func(s spec.State) { s.Endpoints[ep.ID] = ep })
			e.log.Info("endpoint restored from Docker", "network", n.ID.Short(), "endpoint", ep.ID.Short(), "ofport", ep.OFPort)
		}
	}
}
