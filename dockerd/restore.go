// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"dovesnap/spec"
)

// macPrefixKey is the driver-opt that a shown MAC address has already obeyed.
const macPrefixKey = "dovesnap.faucet.mac_prefix"

// restorable completes the endpoints that the engine lacks by their driver-opts,
// so that it can restore them from the view as they were. Only inspecting a
// container shows those, which waits while it starts or stops: so one that does is
// left out, and so is what cannot be asked in time. Restored without them it might
// have more than it should. Of late ones, which Docker's events tell nothing of,
// another view is to be taken soon.
func (w *Watcher) restorable(ctx context.Context, c *client.Client, s seen) (late bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	owner := map[spec.EndpointID]string{}
	var all []spec.EndpointID
	for _, n := range s.networks {
		for key, r := range n.Containers {
			owner[spec.EndpointID(r.EndpointID)] = key
			all = append(all, spec.EndpointID(r.EndpointID))
		}
	}
	if len(all) == 0 {
		return false, nil
	}
	lacking, err := w.engine.Lacks(ctx, all)
	if err != nil {
		return false, err
	}
	var mu sync.Mutex // of s.view, late
	var group errgroup.Group
	group.SetLimit(abreast)
	for _, id := range lacking {
		group.Go(func() error {
			options, err := driverOpts(ctx, c, s.containers[owner[id]], id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.log.Debug("an endpoint cannot be restored from Docker yet", "endpoint", id.Short(), "err", err)
				s.leaveOut(id)
				late = late || errors.Is(err, context.DeadlineExceeded)
				return nil
			}
			s.complete(id, options)
			return nil
		})
	}
	return late, group.Wait()
}

func (s seen) leaveOut(id spec.EndpointID) {
	for _, n := range s.view.Networks {
		delete(n.Endpoints, id)
	}
}

func (s seen) complete(id spec.EndpointID, options map[string]any) {
	for _, n := range s.view.Networks {
		ep, ok := n.Endpoints[id]
		if !ok {
			continue
		}
		if ep.Request.MAC != "" {
			delete(options, macPrefixKey)
		}
		ep.Request.Options = options
		n.Endpoints[id] = ep
	}
}

// driverOpts asks for the driver-opts of a running container's endpoint.
func driverOpts(ctx context.Context, c *client.Client, s container.Summary, id spec.EndpointID) (map[string]any, error) {
	if !running(s) || !has(s.NetworkSettings, id) {
		return nil, fmt.Errorf("container %q is not running, or being connected", s.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	got, err := c.ContainerInspect(ctx, s.ID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot inspect container %q: %w", s.ID, err)
	}
	if settings := got.Container.NetworkSettings; settings != nil {
		for _, ep := range settings.Networks {
			if ep == nil || spec.EndpointID(ep.EndpointID) != id {
				continue
			}
			options := map[string]any{}
			for k, v := range ep.DriverOpts {
				options[k] = v
			}
			return options, nil
		}
	}
	return nil, fmt.Errorf("container %q has left it", s.ID)
}

func has(settings *container.NetworkSettingsSummary, id spec.EndpointID) bool {
	if settings != nil {
		for _, ep := range settings.Networks {
			if ep != nil && spec.EndpointID(ep.EndpointID) == id {
				return true
			}
		}
	}
	return false
}
