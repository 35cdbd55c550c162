// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// maxBackoff is how many milliseconds vswitchd waits at most between two
// attempts to reach a controller; its default of 8 s is long for a controller
// that was only restarted.
const maxBackoff = 2000

// EnsureControllers gives the network's bridge the controllers of the spec. With
// anew, those that are connected are let go first, so that they ask for the state
// of every port again: Faucet does not hear of a port that comes up in the middle
// of its handshake, the bridge's own above all, and then never forwards to it.
func (s *Switch) EnsureControllers(ctx context.Context, n spec.Network, anew bool) error {
	ses, err := s.current()
	if err == nil {
		err = ses.ensureControllers(ctx, n, anew)
	}
	if err != nil {
		return fmt.Errorf("cannot set the controllers of bridge %q: %w", n.Bridge, err)
	}
	return nil
}

func (ses *session) ensureControllers(ctx context.Context, n spec.Network, anew bool) error {
	b, err := ses.one(ctx, selectOp(tableBridge, marked(keyNetwork, string(n.ID)), "_uuid", "controller"))
	if err != nil {
		return err
	}
	if b == nil {
		return fmt.Errorf("the bridge is missing")
	}
	old := b.uuids("controller")
	same, err := ses.sameControllers(ctx, n, old)
	if err != nil || same && (!anew || len(old) == 0) {
		return err
	}
	if anew && len(old) > 0 {
		// Applied before the new ones come: vswitchd knows a connection by its
		// target, and would keep it.
		t := ses.begin()
		t.update(tableBridge, b.uuid(), ovsdb.Row{"controller": references()})
		if _, err := t.apply(ctx, false); err != nil {
			return err
		}
	}
	t := ses.begin()
	t.update(tableBridge, b.uuid(), ovsdb.Row{"controller": references(t.insertControllers(n)...)})
	_, err = t.apply(ctx, true)
	return err
}

func (t *txn) insertControllers(n spec.Network) []string {
	var names []string
	for i, target := range n.Controllers {
		names = append(names, t.insert(tableController, fmt.Sprintf("controller_%d", i), ovsdb.Row{
			"target": string(target), "connection_mode": "out-of-band", "max_backoff": maxBackoff}))
	}
	return names
}

func (ses *session) sameControllers(ctx context.Context, n spec.Network, uuids []string) (bool, error) {
	if len(uuids) != len(n.Controllers) {
		return false, nil
	}
	for _, id := range uuids {
		c, err := ses.one(ctx, selectOp(tableController, byUUID(id), "target"))
		if err != nil {
			return false, err
		}
		if c == nil || !slices.Contains(n.Controllers, spec.Controller(c.text("target"))) {
			return false, nil
		}
	}
	return true, nil
}
