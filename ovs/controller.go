// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// maxBackoff is how many milliseconds vswitchd waits at most between two
// attempts to reach a controller; its default of 8 s is long for a controller
// that was only restarted.
const maxBackoff = 2000

// controllerType keeps vswitchd from deleting every flow of a bridge when it gets
// its first controller, or loses its last: for controllers of type "primary" it
// does (connmgr_set_controllers), and so would throw away, at the end of a
// restart, the flows that were restored. Only fail_mode standalone needs
// "primary", and a bridge with controllers is secure. A "service" gets no
// asynchronous message before its OFPT_SET_CONFIG, which every controller sends
// in its handshake.
const controllerType = "service"

// EnsureControllers gives the network's bridge the controllers of the spec. With
// anew, those that are connected are let go first, so that they ask for the state
// of every port again: Faucet does not hear of a port that comes up in the middle
// of its handshake, the bridge's own above all, and then never forwards to it.
// With wait, it gives new controllers a moment to set the bridge up.
func (s *Switch) EnsureControllers(ctx context.Context, n spec.Network, anew, wait bool) error {
	ses, err := s.current()
	added := false
	if err == nil {
		added, err = ses.ensureControllers(ctx, n, anew)
	}
	if err != nil {
		return fmt.Errorf("cannot set the controllers of bridge %q: %w", n.Bridge, err)
	}
	if added && wait && len(n.Controllers) > 0 {
		s.settle(ctx, n.Bridge)
	}
	return nil
}

// ensureControllers reports whether it gave the bridge new ones.
func (ses *session) ensureControllers(ctx context.Context, n spec.Network, anew bool) (added bool, err error) {
	b, err := ses.one(ctx, selectOp(tableBridge, marked(keyNetwork, string(n.ID)), "_uuid", "controller"))
	if err != nil {
		return false, err
	}
	if b == nil {
		return false, fmt.Errorf("the bridge is missing")
	}
	old := b.uuids("controller")
	same, err := ses.sameControllers(ctx, n, old)
	if err != nil || same && (!anew || len(old) == 0) {
		return false, err
	}
	if anew && len(old) > 0 {
		// Applied before the new ones come: vswitchd knows a connection by its
		// target, and would keep it.
		t := ses.begin()
		t.update(tableBridge, b.uuid(), ovsdb.Row{"controller": references()})
		if _, err := t.apply(ctx, false); err != nil {
			return false, err
		}
	}
	t := ses.begin()
	t.update(tableBridge, b.uuid(), ovsdb.Row{"controller": references(t.insertControllers(n)...)})
	_, err = t.apply(ctx, true)
	return err == nil, err
}

// settle waits until a controller has put flows into the bridge, which is when it
// is done with its handshake, but not for long: there may be no controller yet,
// or one that waits for packets. A container that started in the middle of
// Faucet's handshake would stay cut off.
func (s *Switch) settle(ctx context.Context, bridge string) {
	ctx, cancel := context.WithTimeout(ctx, s.settleWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		count, err := s.flows(ctx, bridge)
		if count > 0 {
			return
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("cannot tell whether a controller has set the bridge up", "bridge", bridge, "err", err)
			return
		}
		select {
		case <-ctx.Done():
			s.log.Warn("no controller has set the bridge up yet", "bridge", bridge)
			return
		case <-tick.C:
		}
	}
}

func (t *txn) insertControllers(n spec.Network) []string {
	var names []string
	for i, target := range n.Controllers {
		names = append(names, t.insert(tableController, fmt.Sprintf("controller_%d", i), ovsdb.Row{
			"target": string(target), "type": controllerType, "connection_mode": "out-of-band", "max_backoff": maxBackoff}))
	}
	return names
}

func (ses *session) sameControllers(ctx context.Context, n spec.Network, uuids []string) (bool, error) {
	if len(uuids) != len(n.Controllers) {
		return false, nil
	}
	for _, id := range uuids {
		c, err := ses.one(ctx, selectOp(tableController, byUUID(id), "target", "type"))
		if err != nil {
			return false, err
		}
		if c == nil || c.text("type") != controllerType || !slices.Contains(n.Controllers, spec.Controller(c.text("target"))) {
			return false, nil
		}
	}
	return true, nil
}
