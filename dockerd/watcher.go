// SPDX-License-Identifier: Apache-2.0

// Package dockerd looks at Docker through its API: which of its networks are of
// our driver, what people call them, and which containers are on them.
//
// The contract: a Watcher only reads, and hands on one whole view at a time, or
// none while the API does not answer. Nothing waits for it.
//
// Be aware:
//   - Docker's API accepts connections but says nothing while dockerd starts;
//     every request has a deadline.
//   - A view is a little old when it arrives; it carries the time at which the
//     asking began, so that the engine can tell what it says nothing about.
package dockerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"dovesnap/reconcile"
	"dovesnap/spec"
)

const (
	requestTimeout = 10 * time.Second
	settle         = 500 * time.Millisecond // events of one `docker run` come in a burst
	retryDelay     = 2 * time.Second
)

// Config says which Docker is watched and for what.
type Config struct {
	Host        string        // unix:///var/run/docker.sock
	Drivers     []string      // ovs, dovesnap
	Interval    time.Duration // between views when no event comes
	Controllers []spec.Controller
}

// Watcher hands views of Docker to See.
type Watcher struct {
	cfg Config
	see func(context.Context, reconcile.DockerView) error
	log *slog.Logger

	mu  sync.Mutex
	err error // of the last attempt; nil: connected
}

// New returns a Watcher that does nothing until Run.
func New(cfg Config, see func(context.Context, reconcile.DockerView) error, log *slog.Logger) *Watcher {
	return &Watcher{cfg: cfg, see: see, log: log, err: errors.New("not asked yet")}
}

// Err returns why Docker cannot be seen at the moment; nil when it can.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Run watches until ctx ends. Docker may come and go.
func (w *Watcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.watch(ctx)
		if ctx.Err() != nil {
			break
		}
		w.note(err)
		select {
		case <-ctx.Done():
		case <-time.After(retryDelay):
		}
	}
	return nil
}

// note keeps the state of the connection and logs its changes.
func (w *Watcher) note(err error) {
	w.mu.Lock()
	before := w.err
	w.err = err
	w.mu.Unlock()
	switch {
	case err == nil && before != nil:
		w.log.Info("connected to Docker", "host", w.cfg.Host)
	case err != nil && (before == nil || before.Error() != err.Error()):
		w.log.Warn("Docker is away", "host", w.cfg.Host, "err", err)
	}
}

// watch takes a view, and another after every event that concerns networks and
// at least every Interval, until something fails.
func (w *Watcher) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := client.New(client.WithHost(w.cfg.Host))
	if err != nil {
		return fmt.Errorf("cannot use Docker at %q: %w", w.cfg.Host, err)
	}
	defer c.Close()
	if err := ping(ctx, c); err != nil {
		return err
	}
	// Subscribed before the first view, so that nothing falls between them.
	events := c.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.Add("type", "network")})
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for {
		if err := w.look(ctx, c); err != nil {
			return err
		}
		w.note(nil)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-events.Err:
			return fmt.Errorf("the event stream ended: %w", err)
		case <-tick.C:
		case <-events.Messages:
			if err := drain(ctx, events, settle); err != nil {
				return err
			}
		}
	}
}

func ping(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// drain takes events until the time is over.
func drain(ctx context.Context, events client.EventsResult, d time.Duration) error {
	over := time.After(d)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-events.Err:
			return fmt.Errorf("the event stream ended: %w", err)
		case <-events.Messages:
		case <-over:
			return nil
		}
	}
}

// look takes one view and hands it on.
func (w *Watcher) look(ctx context.Context, c *client.Client) error {
	view, err := w.view(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := w.see(ctx, view); err != nil {
		w.log.Debug("the engine takes no view", "err", err)
	}
	return nil
}

func (w *Watcher) view(ctx context.Context, c *client.Client) (reconcile.DockerView, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	v := reconcile.DockerView{Taken: time.Now(), Networks: map[spec.NetworkID]reconcile.DockerNetwork{}}
	list, err := c.NetworkList(ctx, client.NetworkListOptions{Filters: client.Filters{}.Add("driver", w.cfg.Drivers...)})
	if err != nil {
		return v, fmt.Errorf("cannot list networks: %w", err)
	}
	for _, item := range list.Items {
		got, err := c.NetworkInspect(ctx, item.ID, client.NetworkInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return v, fmt.Errorf("cannot inspect network %q: %w", item.Name, err)
		}
		n, err := translate(got.Network, w.cfg.Controllers)
		if err != nil {
			return v, fmt.Errorf("cannot read network %q: %w", item.Name, err)
		}
		v.Networks[n.Request.ID] = n
	}
	return v, nil
}

// translate turns what inspect shows into what the driver's calls carried.
func translate(n network.Inspect, controllers []spec.Controller) (reconcile.DockerNetwork, error) {
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
	for _, c := range n.Containers {
		ep := spec.EndpointID(c.EndpointID)
		out.Endpoints[ep] = reconcile.DockerEndpoint{Container: c.Name, Request: spec.EndpointRequest{ID: ep, Network: id,
			Address: text(c.IPv4Address), AddressIPv6: text(c.IPv6Address), MAC: c.MacAddress.String()}}
	}
	return out, nil
}

func text(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
