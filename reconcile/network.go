// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"dovesnap/spec"
)

// CreateNetwork makes a network or leaves nothing. A repeated call with the same
// content finds it made.
func (e *Engine) CreateNetwork(ctx context.Context, n spec.Network) error {
	return e.do(ctx, func(ctx context.Context) error {
		if old, ok := e.network(n.ID); ok {
			n.Name = old.Name // Docker tells it afterwards
			if n.MigrateUplinks && n.LocalMAC == "" {
				n.LocalMAC = old.LocalMAC
			}
			if !reflect.DeepEqual(old, n) {
				return fmt.Errorf("cannot create network %q: it exists with other options", n.ID.Short())
			}
			return e.applyNetwork(ctx, n, func() error { return nil })
		}
		n, err := e.standIn(ctx, n)
		if err != nil {
			return err
		}
		if err := e.State().Admit(n, e.networkName); err != nil {
			return err
		}
		if err := e.faucet.Admit(n); err != nil {
			return err
		}
		if err := e.links.CheckNetwork(ctx, n); err != nil {
			return err
		}
		err = e.addNetwork(ctx, n, func() error {
			if !n.Routed() {
				return nil
			}
			return e.fw.EnsureForwarding(ctx, e.State().SortedNetworks())
		})
		if err != nil {
			return err
		}
		e.docker.touch(string(n.ID))
		e.log.Info("network created", "network", n.ID.Short(), "bridge", n.Bridge, "mode", n.Mode, "dpid", n.DPID)
		return nil
	})
}

// standIn gives a bridge that is to stand in for an interface of the host's the
// interface's MAC.
func (e *Engine) standIn(ctx context.Context, n spec.Network) (spec.Network, error) {
	if !n.MigrateUplinks || n.LocalMAC != "" {
		return n, nil
	}
	mac, err := e.links.UplinkMAC(ctx, n)
	n.LocalMAC = mac
	return n, err
}

// addNetwork checks a new network against the others, applies it, and takes all
// of it back when a step fails. It's for restored networks too, whose bridge's
// link may be there still.
func (e *Engine) addNetwork(ctx context.Context, n spec.Network, ports func() error) error {
	if err := e.State().Admit(n, e.networkName); err != nil {
		return err
	}
	e.change(func(s spec.State) { s.Networks[n.ID] = n })
	err := e.applyNetwork(ctx, n, func() error {
		if err := e.applyFirewall(ctx); err != nil {
			return err
		}
		return ports()
	})
	if err != nil {
		e.undo(ctx, func(ctx context.Context) error { return e.dropNetwork(ctx, n.ID) })
		return err
	}
	e.want()
	return nil
}

// applyNetwork makes a network's bridge and gateway as the spec says, has ports
// see to what belongs to the bridge, and gives it its controllers last: Faucet
// misses ports that come up in the middle of its handshake.
func (e *Engine) applyNetwork(ctx context.Context, n spec.Network, ports func() error) error {
	raised, err := e.applyBridge(ctx, n)
	if err != nil {
		return err
	}
	if err := ports(); err != nil {
		return err
	}
	return e.sw.EnsureControllers(ctx, n, raised, e.expected(n))
}

// applyBridge makes the bridge and the gateway; raised as EnsureGateway has it.
func (e *Engine) applyBridge(ctx context.Context, n spec.Network) (raised bool, err error) {
	userspace, _ := e.cfg.Datapath(ctx, n)
	if err := e.sw.EnsureBridge(ctx, n, userspace); err != nil {
		return false, err
	}
	return e.links.EnsureGateway(ctx, n)
}

// DeleteNetwork removes a network; an unknown one is fine. Docker removes an
// endpoint before its network, so endpoints that are left are ones it forgot.
func (e *Engine) DeleteNetwork(ctx context.Context, id spec.NetworkID) error {
	return e.do(ctx, func(ctx context.Context) error {
		if _, ok := e.network(id); !ok {
			return nil
		}
		err := e.dropNetwork(ctx, id)
		e.docker.touch(string(id))
		e.log.Info("network removed", "network", id.Short())
		return err
	})
}

func (e *Engine) dropNetwork(ctx context.Context, id spec.NetworkID) error {
	for _, ep := range e.State().EndpointsOf(id) {
		if err := e.dropEndpoint(ctx, ep.ID); err != nil {
			e.log.Warn("cannot remove a leftover endpoint; the next pass will", "network", id.Short(), "endpoint", ep.ID.Short(), "err", err)
		}
	}
	n, _ := e.network(id)
	e.change(func(s spec.State) { delete(s.Networks, id) })
	e.forget(SubjectNetwork(id))
	delete(e.introduced, id)
	e.want()
	n.ID = id
	return errors.Join(e.removeBridge(ctx, n), e.applyFirewall(ctx))
}

// removeBridge removes a network's bridge and gives the host's interfaces back.
// Addresses of the host's go with the bridge: when they cannot be moved off it, it
// stays, and the next pass tries again.
func (e *Engine) removeBridge(ctx context.Context, n spec.Network) error {
	if err := e.links.ReturnUplinks(ctx, n); err != nil {
		return err
	}
	return errors.Join(e.sw.DeleteBridge(ctx, n.ID), e.links.ReleaseNetwork(ctx, n))
}
