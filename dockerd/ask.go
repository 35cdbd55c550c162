// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"dovesnap/spec"
)

const (
	answerTime = 2 * time.Second // for one round's questions
	abreast    = 8               // of them at a time
)

// found is what Docker shows of what is waited for.
type found struct {
	mu         sync.Mutex
	networks   map[spec.NetworkID]network.Inspect
	containers map[string]container.Summary // by ID, and by name with its slash
}

// ask inspects the networks, and lists the containers, that are waited for.
// What cannot be asked is not found.
func (a *arrivals) ask(ctx context.Context, attach []attachment, ids []string) *found {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	out := &found{networks: map[spec.NetworkID]network.Inspect{}, containers: map[string]container.Summary{}}
	wanted := map[spec.NetworkID]bool{}
	var names []string
	for _, p := range attach {
		wanted[p.network] = true
		switch {
		case p.container != "":
			ids = append(ids[:len(ids):len(ids)], p.container)
		case p.name != "":
			names = append(names, "^/?"+regexp.QuoteMeta(p.name)+"$")
		}
	}
	var group errgroup.Group
	group.SetLimit(abreast)
	group.Go(func() error { return out.list(ctx, a.api, "id", ids) })
	group.Go(func() error { return out.list(ctx, a.api, "name", names) })
	for id := range wanted {
		group.Go(func() error {
			got, err := a.api.NetworkInspect(ctx, string(id), client.NetworkInspectOptions{})
			if errdefs.IsNotFound(err) {
				a.forget(func(p attachment) bool { return p.network == id })
				return nil
			}
			out.mu.Lock()
			defer out.mu.Unlock()
			out.networks[id] = got.Network
			return err
		})
	}
	if err := group.Wait(); err != nil {
		a.log.Debug("Docker does not say what has come", "err", err)
		a.stir()
	}
	return out
}

// list adds the containers that any of the values of a filter is for.
func (f *found) list(ctx context.Context, api *client.Client, filter string, values []string) error {
	if len(values) == 0 {
		return nil
	}
	got, err := containersByID(ctx, api, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add(filter, values...)})
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, c := range got {
		f.containers[id] = c
		for _, name := range c.Names {
			f.containers[name] = c
		}
	}
	return err
}

// endpoint returns what a network shows of an attachment, and under which key:
// the container's ID, or "ep-…" until the endpoint has joined.
func (f *found) endpoint(p attachment) (string, network.EndpointResource) {
	containers := f.networks[p.network].Containers
	if p.expected == "" {
		return p.container, containers[p.container]
	}
	for key, c := range containers {
		if spec.EndpointID(c.EndpointID) == p.expected {
			return key, c
		}
	}
	return "", network.EndpointResource{}
}

// attached tells of an attachment whose endpoint and container are both shown.
// One for which that takes too long is left to the views.
func (a *arrivals) attached(ctx context.Context, p attachment, in *found) {
	key, n := in.endpoint(p)
	c, listed := in.containers[key]
	if !listed && p.name != "" {
		c, listed = in.containers["/"+p.name]
	}
	switch {
	case n.EndpointID != "" && listed:
	case time.Since(p.since) > a.patience:
		a.log.Debug("Docker does not show who has come", "network", p.network.Short(), "container", p.container, "endpoint", p.expected.Short())
		a.forget(func(other attachment) bool { return other == p })
		a.stir()
		return
	case p.expected != "" && p.name == "" && n.Name != "":
		a.identify(p, key, n.Name)
		return
	default:
		return
	}
	a.forget(func(other attachment) bool { return other == p })
	id := spec.EndpointID(n.EndpointID)
	a.tell(ctx, func(ctx context.Context) error { return a.engine.Attached(ctx, p.network, id, n.Name, c.Labels) })
	if p.expected == "" && running(c) && labelled(c.Labels) {
		// Connected while it runs: no start will be announced.
		a.tell(ctx, func(ctx context.Context) error { return a.engine.Started(ctx, []spec.EndpointID{id}) })
	}
}

// identify notes whom the next round, at once, shall look for.
func (a *arrivals) identify(p attachment, key, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, other := range a.attach {
		if other != p {
			continue
		}
		a.attach[i].name = name
		if !strings.HasPrefix(key, "ep-") {
			a.attach[i].container = key
		}
		signal(a.wake)
	}
}

// start tells of the endpoints of a container that has started. One with an
// attachment that is still waited for is kept until that is told.
func (a *arrivals) start(ctx context.Context, id string, in *found) {
	a.mu.Lock()
	if slices.ContainsFunc(a.attach, func(p attachment) bool { return p.container == id }) {
		a.started = append(a.started, id)
		a.mu.Unlock()
		return
	}
	ours := maps.Clone(a.ours)
	a.mu.Unlock()
	c := in.containers[id]
	if !running(c) || c.NetworkSettings == nil {
		return // has ended again
	}
	var endpoints []spec.EndpointID
	for _, s := range c.NetworkSettings.Networks {
		if s != nil && ours[spec.NetworkID(s.NetworkID)] && s.EndpointID != "" {
			endpoints = append(endpoints, spec.EndpointID(s.EndpointID))
		}
	}
	if len(endpoints) > 0 {
		slices.Sort(endpoints)
		a.tell(ctx, func(ctx context.Context) error { return a.engine.Started(ctx, endpoints) })
	}
}
