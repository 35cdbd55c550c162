// SPDX-License-Identifier: Apache-2.0

package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// undoWithin bounds taking a migration back that failed, be it that its own time
// ran out: half of it is a host without a connection.
const undoWithin = 5 * time.Second

// migrate moves what the network's uplink carries to the bridge's own link, or
// leaves it where it is. As a rule there is nothing: it has been moved before. A
// bridge's link that was made anew gets back what was lost with the old one.
func (l *Links) migrate(ctx context.Context, n spec.Network) error {
	h, err := openRaw(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	bridge, err := h.LinkByName(n.Bridge)
	if err != nil {
		return err
	}
	old, err := l.recall(n.ID)
	if err != nil {
		return err
	}
	if old != nil && old.Bridge.Index != bridge.Attrs().Index {
		l.log.Warn("the bridge's link was made anew; giving the host's addresses back to it", "network", n.ID.Short(), "bridge", n.Bridge, "port", old.NIC)
		if err := l.replay(ctx, h, old, bridge); err != nil {
			return err
		}
	}
	nic, err := h.carrier(ctx, n, old)
	if nic == nil || err != nil {
		return err // unplugged: the addresses stay on the bridge
	}
	items, err := h.itemsOn(ctx, nic)
	if err != nil {
		return err
	}
	there, err := h.hostsItems(ctx, n, bridge)
	if err != nil {
		return err
	}
	if err := l.record(n, nic, bridge, there, items); err != nil || len(items) == 0 {
		return err
	}
	say, what := l.log.Info, "moving the host's addresses and routes to the bridge"
	if len(there) > 0 {
		say, what = l.log.Warn, "somebody configured the interface again; moving that to the bridge, too. "+tellManager
	}
	say(what, "network", n.ID.Short(), "port", nic.Attrs().Name, "bridge", n.Bridge, "count", len(items))
	if err := l.shift(ctx, h, items, nic, bridge); err != nil {
		err = fmt.Errorf("cannot move the host's addresses from %q: %w", nic.Attrs().Name, err)
		if len(there) > 0 {
			return err // the host's place is the bridge; the next pass goes on
		}
		return l.back(ctx, n, nic, bridge, err)
	}
	l.announce(bridge, items)
	return nil
}

// back undoes a migration that failed with cause.
func (l *Links) back(ctx context.Context, n spec.Network, nic, bridge netlink.Link, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
	defer cancel()
	h, err := openRaw(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	defer h.Close()
	items, err := h.hostsItems(ctx, n, bridge)
	if err == nil {
		err = l.shift(ctx, h, items, bridge, nic)
	}
	if err != nil {
		return fmt.Errorf("%w; and cannot take it back: %v", cause, err)
	}
	return cause
}

// hostsItems lists what is on a bridge's link and not there for the network's own
// gateways: the host's.
func (h rawHandle) hostsItems(ctx context.Context, n spec.Network, bridge netlink.Link) ([]item, error) {
	items, err := h.itemsOn(ctx, bridge)
	own := gateways(n)
	return slices.DeleteFunc(items, func(i item) bool {
		for _, g := range own {
			if i.isFor(g) {
				return true
			}
		}
		return false
	}), err
}

// carrier returns the uplink that carries what is the host's, or shall again: the
// one the record names, whose MAC the bridge has, that carries something, or the
// first. nil when the host has none of them.
func (h rawHandle) carrier(ctx context.Context, n spec.Network, old *record) (netlink.Link, error) {
	var first, carrying, same netlink.Link
	for _, u := range n.Uplinks {
		link, err := h.find(u.Name)
		if err != nil {
			return nil, err
		}
		if link == nil || u.Coprocessor {
			continue
		}
		if old != nil && old.NIC == u.Name {
			return link, nil
		}
		if first == nil {
			first = link
		}
		if link.Attrs().HardwareAddr.String() == string(n.LocalMAC) {
			same = link
		}
		items, err := h.itemsOn(ctx, link)
		if err != nil {
			return nil, err
		}
		if carrying == nil && len(items) > 0 {
			carrying = link
		}
	}
	return cmp.Or(same, carrying, first), nil
}
