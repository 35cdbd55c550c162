// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"dovesnap/spec"
)

// ReturnUplinks moves back to the network's uplink what of the host's is on the
// bridge's own link. Call it before the bridge is removed, with which that would be
// lost, and do not remove the bridge when it fails. The host is without a
// connection from then on until the interface has left the bridge and
// ReleaseNetwork was called. It is nothing for a network that does not migrate.
func (l *Links) ReturnUplinks(ctx context.Context, n spec.Network) error {
	if !n.MigrateUplinks {
		return nil
	}
	if err := l.giveBack(ctx, n); err != nil {
		return fmt.Errorf("cannot give the host's addresses back from bridge %q: %w", n.Bridge, err)
	}
	return nil
}

func (l *Links) giveBack(ctx context.Context, n spec.Network) error {
	h, err := openRaw(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	old, err := l.recall(n.ID)
	if err != nil {
		return err
	}
	nic, err := h.carrier(ctx, n, old)
	if err != nil {
		return err
	}
	bridge, err := h.find(n.Bridge)
	if bridge == nil || err != nil {
		return err // the record, if there is one, is for ReleaseNetwork
	}
	items, err := h.hostsItems(ctx, n, bridge)
	if err != nil || len(items) == 0 {
		return err
	}
	if nic == nil {
		l.log.Warn("the interface is gone; what it carried of the host's goes with the bridge", "network", n.ID.Short(), "bridge", n.Bridge)
		return nil
	}
	if old == nil || old.Bridge.Index == bridge.Attrs().Index {
		if err := l.record(n, nic, bridge, items, nil); err != nil {
			return err
		}
	}
	l.log.Info("moving the host's addresses and routes back", "network", n.ID.Short(), "port", nic.Attrs().Name, "bridge", n.Bridge, "count", len(items))
	return l.shift(ctx, h, items, bridge, nic)
}

// settle ends a migration when the interface has left the bridge: what got lost
// with the bridge's link is made again, and the neighbours are told.
func (l *Links) settle(ctx context.Context, id spec.NetworkID) error {
	r, err := l.recall(id)
	if err != nil {
		return err
	}
	if r == nil {
		return l.forget(id) // half a record may be left
	}
	if err := l.restore(ctx, r); err != nil {
		return fmt.Errorf("cannot restore the addresses of %q: %w", r.NIC, err)
	}
	return l.forget(id)
}

func (l *Links) restore(ctx context.Context, r *record) error {
	h, err := openRaw(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	nic, err := h.find(r.NIC)
	if nic == nil || err != nil {
		return err // pulled out; whoever plugs it in configures it
	}
	if there, err := h.carries(r); err != nil {
		return err
	} else if there {
		return errors.New("its bridge is still there")
	}
	if err := l.replay(ctx, h, r, nic); err != nil {
		return err
	}
	l.announce(nic, r.Items)
	return nil
}

// carries reports whether the bridge's link of a record is still there.
func (h handle) carries(r *record) (bool, error) {
	bridge, err := h.find(r.Bridge.Name)
	return bridge != nil && bridge.Attrs().Index == r.Bridge.Index, err
}

// SweepUplinks gives back what was moved for networks that are no longer known:
// their bridge vanished, or dovesnap was stopped between its removal and
// ReleaseNetwork. Call it when the bridges of such networks have been removed.
func (l *Links) SweepUplinks(ctx context.Context, known func(spec.NetworkID) bool) error {
	if l.records == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(l.records, "*.json"))
	if len(files) == 0 || err != nil {
		return err
	}
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	var errs []error
	for _, file := range files {
		r, err := readRecord(file)
		if r == nil || err != nil {
			errs = append(errs, err)
			continue
		}
		if known(r.Network) {
			continue
		}
		if there, err := h.carries(r); there || err != nil {
			errs = append(errs, err) // ReturnUplinks and the bridge's removal come first
			continue
		}
		l.log.Warn("giving back what a network that is gone had moved", "network", r.Network.Short(), "port", r.NIC)
		gone := spec.Network{ID: r.Network, Bridge: r.Bridge.Name, Uplinks: []spec.Uplink{{Name: r.NIC}}, MigrateUplinks: true}
		errs = append(errs, l.ReleaseNetwork(ctx, gone))
	}
	return errors.Join(errs...)
}
