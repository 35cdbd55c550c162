// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dovesnap/spec"
)

// Publish makes the host pass on an endpoint's Published ports, and no others to
// it; its network has been applied. It runs one iptables-restore for each family,
// about one chain, however many others there are. (iptables-legacy replaces the
// whole table in the kernel all the same.) A failure leaves things to the next
// Apply.
func (t *Table) Publish(ctx context.Context, n spec.Network, e spec.Endpoint) error {
	if len(e.Published) > 0 && !n.Routed() {
		return fmt.Errorf("cannot publish port %s: the network's mode is %s", e.Published[0].Host(), n.Mode)
	}
	if !t.known { // writing a whole family would take the others' away
		return errors.New("cannot publish ports: the packet filter's rules have not been written yet")
	}
	if i := slices.IndexFunc(t.nets, func(o spec.Network) bool { return o.ID == n.ID }); i < 0 {
		t.nets = append(t.nets, n)
	}
	return t.publish(ctx, n, e)
}

// Unpublish removes what there is of an endpoint's published ports; an unknown
// endpoint is fine.
func (t *Table) Unpublish(ctx context.Context, id spec.EndpointID) error {
	e, ok := t.endpoints[id]
	if !ok {
		return nil
	}
	e.Published = nil
	return t.publish(ctx, spec.Network{ID: e.Network}, e)
}

func (t *Table) publish(ctx context.Context, n spec.Network, e spec.Endpoint) error {
	old := t.endpoints[e.ID].Published
	t.remember(e, e.Published)
	chain := chainOf(e.ID)
	whole := false
	for _, s := range []*stack{t.v4, t.v6} {
		rules := renderPublished([]spec.Network{n}, []spec.Endpoint{e}, s.in)[chain]
		whole = whole || !s.publish(ctx, chain, rules)
	}
	if whole {
		if err := t.rewrite(ctx); err != nil {
			t.remember(e, old)
			return err
		}
	} else if err := t.applySettings(); err != nil {
		return err
	}
	t.dropFlows(ctx, old, e.Published)
	return nil
}

// remember notes what an endpoint's ports are.
func (t *Table) remember(e spec.Endpoint, published []spec.Published) {
	e.Published = published
	t.endpoints[e.ID] = e
	if len(published) == 0 {
		delete(t.endpoints, e.ID)
	}
}

// rewrite applies again what was applied.
func (t *Table) rewrite(ctx context.Context) error {
	endpoints := make([]spec.Endpoint, 0, len(t.endpoints))
	for _, e := range t.endpoints {
		endpoints = append(endpoints, e)
	}
	return t.Apply(ctx, t.nets, endpoints)
}

func publishedBy(endpoints []spec.Endpoint) (all []spec.Published) {
	for _, e := range endpoints {
		all = append(all, e.Published...)
	}
	return all
}
