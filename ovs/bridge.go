// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// maxBackoff is how many milliseconds vswitchd waits at most between two
// attempts to reach a controller; its default of 8 s is long for a controller
// that was only restarted.
const maxBackoff = 2000

// EnsureBridge makes the network's bridge, with its own port, its uplinks and
// its controllers, exist as the spec says. A bridge is born complete, in one
// transaction: it's never for a moment a learning switch that should have been
// secure. userspace selects the datapath.
func (s *Switch) EnsureBridge(ctx context.Context, n spec.Network, userspace bool) error {
	ses, err := s.current()
	if err != nil {
		return bridgeError("configure", n, err)
	}
	old, err := ses.bridge(ctx, n.Bridge)
	switch {
	case err != nil:
	case old == nil:
		err = ses.createBridge(ctx, n, userspace)
	case old.ExternalIDs[keyNetwork] != string(n.ID):
		err = errors.New("a bridge of this name exists that is not this network's; choose another with -o ovs.bridge.name")
	default:
		err = ses.updateBridge(ctx, old, n, userspace)
	}
	if err != nil {
		return bridgeError("configure", n, err)
	}
	if err := ses.checkInterfaces(ctx, append([]string{n.Bridge}, uplinkNames(n)...)...); err != nil {
		return bridgeError("configure", n, err)
	}
	return nil
}

func bridgeError(verb string, n spec.Network, err error) error {
	return fmt.Errorf("cannot %s bridge %q: %w", verb, n.Bridge, err)
}

func uplinkNames(n spec.Network) []string {
	names := make([]string, len(n.Uplinks))
	for i, u := range n.Uplinks {
		names[i] = u.Name
	}
	return names
}

// wanted returns the Bridge row of a network, without references.
func wanted(n spec.Network, userspace bool) (*bridge, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	b := &bridge{
		Name:         n.Bridge,
		DatapathType: "system",
		FailMode:     ptr("standalone"),
		OtherConfig: map[string]string{
			"datapath-id": n.DPID.Hex16(),
			// No hidden flows towards a controller: they would pass traffic that
			// no policy allowed (ovs-vswitchd.conf.db(5), disable-in-band).
			"disable-in-band": "true",
		},
		ExternalIDs: map[string]string{keyVersion: spec.Version, keyNetwork: string(n.ID), keySpec: string(text)},
	}
	if userspace {
		b.DatapathType = "netdev"
	}
	if len(n.Controllers) > 0 {
		b.FailMode = ptr("secure")
	}
	if n.LocalMAC != "" {
		b.OtherConfig["hwaddr"] = string(n.LocalMAC)
	}
	return b, nil
}

func (ses *session) createBridge(ctx context.Context, n spec.Network, userspace bool) error {
	root, err := ses.root(ctx)
	if err != nil {
		return err
	}
	b, err := wanted(n, userspace)
	if err != nil {
		return err
	}
	t := ses.begin()
	b.UUID = "bridge"
	b.Ports = append(b.Ports, t.insertLocal(n))
	for _, u := range n.Uplinks {
		b.Ports = append(b.Ports, t.insertUplink(n, u))
	}
	b.Controller = t.insertControllers(n)
	t.insert(b)
	t.reference(tableRoot, root.UUID, "bridges", ovsdb.MutateOperationInsert, b.UUID)
	return t.apply(ctx, true)
}

// insertLocal adds the bridge's own port, which OVS wants in every bridge.
func (t *txn) insertLocal(n spec.Network) string {
	i := &iface{UUID: "local_interface", Name: n.Bridge, Type: "internal"}
	if n.MTU > 0 {
		i.MTURequest = ptr(n.MTU)
	}
	p := &port{UUID: "local_port", Name: n.Bridge, Interfaces: []string{i.UUID}}
	t.insert(i, p)
	return p.UUID
}

func (t *txn) insertUplink(n spec.Network, u spec.Uplink) string {
	i := &iface{UUID: rowName("uplink_interface", u.Name), Name: u.Name}
	if u.OFPort != 0 {
		i.OFPortRequest = ptr(int(u.OFPort))
	}
	p := &port{UUID: rowName("uplink_port", u.Name), Name: u.Name, Interfaces: []string{i.UUID},
		ExternalIDs: map[string]string{keyVersion: spec.Version, keyNetwork: string(n.ID), keyUplink: u.Name}}
	t.insert(i, p)
	return p.UUID
}

func (t *txn) insertControllers(n spec.Network) []string {
	var names []string
	for i, target := range n.Controllers {
		c := &controller{UUID: fmt.Sprintf("controller_%d", i), Target: string(target),
			ConnectionMode: ptr("out-of-band"), MaxBackoff: ptr(maxBackoff)}
		t.insert(c)
		names = append(names, c.UUID)
	}
	return names
}

// updateBridge repairs what drifted, in one transaction, or does nothing.
func (ses *session) updateBridge(ctx context.Context, old *bridge, n spec.Network, userspace bool) error {
	want, err := wanted(n, userspace)
	if err != nil {
		return err
	}
	t, row := ses.begin(), ovsdb.NewRow()
	if old.DatapathType != want.DatapathType {
		row["datapath_type"] = want.DatapathType
	}
	if old.FailMode == nil || *old.FailMode != *want.FailMode {
		row["fail_mode"] = *want.FailMode
	}
	setMap(row, "other_config", old.OtherConfig, want.OtherConfig)
	setMap(row, "external_ids", old.ExternalIDs, want.ExternalIDs)
	if targets, err := ses.targets(ctx, old.Controller); err != nil {
		return err
	} else if !slices.Equal(targets, n.Controllers) && !sameSet(targets, n.Controllers) {
		refs := ovsdb.OvsSet{}
		for _, name := range t.insertControllers(n) {
			refs.GoSet = append(refs.GoSet, ovsdb.UUID{GoUUID: name})
		}
		row["controller"] = refs
	}
	if len(row) > 0 {
		t.update(tableBridge, old.UUID, row)
	}
	for _, u := range n.Uplinks {
		p, err := ses.port(ctx, u.Name)
		if err != nil {
			return err
		}
		if p == nil {
			t.reference(tableBridge, old.UUID, "ports", ovsdb.MutateOperationInsert, t.insertUplink(n, u))
		}
	}
	if len(t.ops) == 0 && t.err == nil {
		return nil
	}
	return t.apply(ctx, true)
}

// setMap puts want into row when the old column lacks any of it; keys that
// others added stay.
func setMap(row ovsdb.Row, column string, old, want map[string]string) {
	merged := maps.Clone(want)
	same := true
	for k, v := range want {
		same = same && old[k] == v
	}
	if same {
		return
	}
	for k, v := range old {
		if _, ok := merged[k]; !ok {
			merged[k] = v
		}
	}
	m := ovsdb.OvsMap{GoMap: map[any]any{}}
	for k, v := range merged {
		m.GoMap[k] = v
	}
	row[column] = m
}

func sameSet(a, b []spec.Controller) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// DeleteBridge removes a network's bridge and with it all its ports; an absent
// one is fine. It returns when vswitchd has removed the bridge's link.
func (s *Switch) DeleteBridge(ctx context.Context, id spec.NetworkID) error {
	ses, err := s.current()
	if err != nil {
		return fmt.Errorf("cannot remove the bridge of network %q: %w", id.Short(), err)
	}
	var rows []bridge
	if err := ses.client.WhereCache(func(b *bridge) bool { return b.ExternalIDs[keyNetwork] == string(id) }).List(ctx, &rows); err != nil {
		return err
	}
	for _, b := range rows {
		root, err := ses.root(ctx)
		if err == nil {
			t := ses.begin()
			t.reference(tableRoot, root.UUID, "bridges", ovsdb.MutateOperationDelete, b.UUID)
			err = t.apply(ctx, true)
		}
		if err != nil {
			return fmt.Errorf("cannot remove bridge %q: %w", b.Name, err)
		}
	}
	return nil
}

// bridge returns the row of a name, nil when there is none.
func (ses *session) bridge(ctx context.Context, name string) (*bridge, error) {
	b := &bridge{Name: name}
	err := ses.client.Get(ctx, b)
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

func (ses *session) targets(ctx context.Context, uuids []string) ([]spec.Controller, error) {
	var out []spec.Controller
	for _, id := range uuids {
		c := &controller{UUID: id}
		if err := ses.client.Get(ctx, c); err != nil {
			return nil, err
		}
		out = append(out, spec.Controller(c.Target))
	}
	return out, nil
}
