// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"dovesnap/reconcile"
	"dovesnap/spec"
)

// seen is a view, and what it was made from.
type seen struct {
	view       reconcile.DockerView
	networks   []network.Inspect
	containers map[string]container.Summary // by ID
}

// views takes a view, and another after what stirs and at least every Interval.
func (w *Watcher) views(ctx context.Context, c *client.Client, a *arrivals, stir chan struct{}) error {
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for {
		if err := w.look(ctx, c, a, stir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			continue
		case <-stir:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settle):
		}
		select {
		case <-stir: // the view will show that too
		default:
		}
	}
}

// look takes one view and hands it on; one that the engine does not take, since
// Open vSwitch is not there yet, or that lacks what was late, is soon followed by
// another.
func (w *Watcher) look(ctx context.Context, c *client.Client, a *arrivals, stir chan<- struct{}) error {
	s, err := w.view(ctx, c, a)
	if err != nil {
		return err
	}
	w.note(nil)
	late, err := w.restorable(ctx, c, s)
	if err == nil {
		err = w.show(ctx, s.view)
	}
	if err != nil {
		w.log.Debug("the engine takes no view", "err", err)
	}
	if err != nil || late {
		signal(stir)
	}
	return nil
}

// show has a time of its own: what containers that cannot be inspected have used up
// must not keep the rest from the engine.
func (w *Watcher) show(ctx context.Context, v reconcile.DockerView) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return w.engine.See(ctx, v)
}

// view asks for the networks, and then for all containers at once: who was in a
// network is so in the list, unless it has gone.
func (w *Watcher) view(ctx context.Context, c *client.Client, a *arrivals) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s := seen{view: reconcile.DockerView{Taken: time.Now(), Networks: map[spec.NetworkID]reconcile.DockerNetwork{}}}
	list, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("driver", append([]string{bridgeDriver}, w.cfg.Drivers...)...)})
	if err != nil {
		return s, fmt.Errorf("cannot list networks: %w", err)
	}
	var ours []network.Summary
	for _, item := range list.Items {
		if item.Driver == bridgeDriver {
			s.view.Bridges = append(s.view.Bridges, bridgeOf(item.Network))
			continue
		}
		a.know(spec.NetworkID(item.ID))
		ours = append(ours, item)
	}
	attached := 0
	for _, item := range ours {
		got, err := c.NetworkInspect(ctx, item.ID, client.NetworkInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return s, fmt.Errorf("cannot inspect network %q: %w", item.Name, err)
		}
		s.networks, attached = append(s.networks, got.Network), attached+len(got.Network.Containers)
	}
	if attached > 0 {
		if s.containers, err = containersByID(ctx, c, client.ContainerListOptions{All: true}); err != nil {
			return s, err
		}
	}
	for _, n := range s.networks {
		out, err := translate(n, s.containers, w.cfg.Controllers)
		if err != nil {
			return s, fmt.Errorf("cannot read network %q: %w", n.Name, err)
		}
		out.Request.FaucetManaged = w.cfg.Managed
		s.view.Networks[out.Request.ID] = out
	}
	return s, nil
}

// bridgeOf returns the host's link of a network of Docker's own driver: the name
// that its user chose, or else one of its ID, as bridge's parseNetworkOptions has it.
func bridgeOf(n network.Network) string {
	if name := n.Options["com.docker.network.bridge.name"]; name != "" {
		return name
	}
	return "br-" + spec.NetworkID(n.ID).Short()
}

func containersByID(ctx context.Context, c *client.Client, o client.ContainerListOptions) (map[string]container.Summary, error) {
	list, err := c.ContainerList(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	out := make(map[string]container.Summary, len(list.Items))
	for _, item := range list.Items {
		out[item.ID] = item
	}
	return out, nil
}

// translate turns what inspect shows into what the driver's calls carried.
func translate(n network.Inspect, containers map[string]container.Summary, controllers []spec.Controller) (reconcile.DockerNetwork, error) {
	id := spec.NetworkID(n.ID)
	out := reconcile.DockerNetwork{Name: n.Name, Endpoints: map[spec.EndpointID]reconcile.DockerEndpoint{},
		Request: spec.Request{ID: id, Options: map[string]any{}, Internal: n.Internal, Controllers: controllers}}
	for k, v := range n.Options {
		out.Request.Options[k] = v
	}
	for _, c := range n.IPAM.Config {
		if n.IPAM.Driver == "null" {
			break // shown as 0.0.0.0/0, and meant as no subnet
		}
		gateway := ""
		if c.Gateway.IsValid() {
			gateway = c.Gateway.String()
		}
		subnet, err := spec.ParseSubnet(c.Subnet.String(), gateway)
		if err != nil {
			return out, err
		}
		out.Request.Subnets = append(out.Request.Subnets, subnet)
	}
	// The key is the container's ID, or "ep-…" of an endpoint that has not joined.
	for key, c := range n.Containers {
		summary, listed := containers[key]
		ep := reconcile.DockerEndpoint{Container: c.Name, Labels: summary.Labels, Labelled: listed, Running: running(summary)}
		ep.Request = spec.EndpointRequest{ID: spec.EndpointID(c.EndpointID), Network: id, Address: text(c.IPv4Address),
			AddressIPv6: text(c.IPv6Address), MAC: c.MacAddress.String()}
		out.Endpoints[ep.Request.ID] = ep
	}
	return out, nil
}

// running reports whether a container's interfaces are inside it. Docker lists a
// container that starts as what it was before.
func running(c container.Summary) bool {
	return c.State == container.StateRunning || c.State == container.StatePaused
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
