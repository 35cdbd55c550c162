// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"dovesnap/spec"
)

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
// said it, and lets it through if that may be. Labels never change. While it cannot
// be told which ACL they ask for, they count as not known, also for another dovesnap.
func (e *Engine) label(ctx context.Context, id spec.EndpointID, labels map[string]string) error {
	ep, ok := e.endpoint(id)
	if _, known := e.wrong[id]; !ok || known || ep.Labelled {
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
	if name := e.misspelt(said.ACL, n); name != "" {
		err = fmt.Errorf("label dovesnap.faucet.portacl: there is no network %q, but %q", name, n.Name)
		said.ACL, said.Unclear = "", true
	}
	if err == nil && said.ACL != "" {
		err = spec.CheckPort(n, spec.Endpoint{ACL: said.ACL}, e.cfg.Faucet != nil)
	}
	if err != nil {
		e.wrong[id] = err
		e.report(SubjectEndpoint(id), err)
	}
	ep.Labelled = !said.Unclear || ep.ACL != ""
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

// misspelt returns a network of an expression that is not there, and is n but for
// capitals; "" when there is none.
func (e *Engine) misspelt(acl spec.Expr, n spec.Network) string {
	for _, name := range acl.Misspelt(n.Name) {
		there := false
		for _, other := range e.State().Networks {
			there = there || other.Name == name
		}
		if !there {
			return name
		}
	}
	return ""
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
