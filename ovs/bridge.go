// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// EnsureBridge makes the network's bridge, with its own port and its uplinks,
// exist as the spec says. A bridge is born with its datapath, its id and its
// fail_mode, in one transaction: one that shall have controllers is never for a
// moment a learning switch, and passes nothing until EnsureControllers. userspace
// selects the datapath.
func (s *Switch) EnsureBridge(ctx context.Context, n spec.Network, userspace bool) error {
	ses, err := s.current()
	if err == nil {
		err = ses.ensureBridge(ctx, n, userspace)
	}
	if err != nil {
		return fmt.Errorf("cannot configure bridge %q: %w", n.Bridge, err)
	}
	return nil
}

func (ses *session) ensureBridge(ctx context.Context, n spec.Network, userspace bool) error {
	want, err := wanted(n, userspace)
	if err != nil {
		return err
	}
	old, err := ses.one(ctx, selectOp(tableBridge, where("name", n.Bridge),
		"_uuid", "datapath_type", "fail_mode", "other_config", "external_ids"))
	if err != nil {
		return err
	}
	t := ses.begin()
	switch {
	case old == nil:
		if err := ses.checkFree(ctx, uplinkNames(n)); err != nil {
			return err
		}
		t.createBridge(n, want)
	case old.dict("external_ids")[keyNetwork] != string(n.ID):
		return errors.New("a bridge of this name exists that is not this network's; choose another with -o ovs.bridge.name")
	case old.dict("external_ids")[keyVersion] != spec.Version:
		return errOtherVersion
	default:
		if err := t.repairBridge(ctx, n, old, want); err != nil {
			return err
		}
	}
	names := append([]string{n.Bridge}, uplinkNames(n)...)
	if len(t.ops) == 0 {
		now, err := ses.read(ctx, interfaceChecks(names...)...)
		if err != nil {
			return err
		}
		if _, err := ofports(now, names...); err == nil {
			return nil
		}
		// vswitchd has not come to it yet: waited for, as a new one is.
	}
	now, err := t.apply(ctx, true, interfaceChecks(names...)...)
	if err != nil {
		return err
	}
	_, err = ofports(now, names...)
	return err
}

// checkFree refuses uplinks that are in some bridge: the kernel does not show
// that of a userspace datapath.
func (ses *session) checkFree(ctx context.Context, names []string) error {
	for _, name := range names {
		p, err := ses.one(ctx, selectOp(tablePort, where("name", name), "_uuid"))
		if err != nil {
			return err
		}
		if p != nil {
			return fmt.Errorf("interface %q is in a bridge already; `ovs-vsctl port-to-br %s` says in which", name, name)
		}
	}
	return nil
}

func uplinkNames(n spec.Network) []string {
	names := make([]string, len(n.Uplinks))
	for i, u := range n.Uplinks {
		names[i] = u.Name
	}
	return names
}

// bridgeColumns is what a Bridge row should have, beside its references.
type bridgeColumns struct {
	datapathType, failMode   string
	otherConfig, externalIDs map[string]string
}

func wanted(n spec.Network, userspace bool) (bridgeColumns, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return bridgeColumns{}, err
	}
	b := bridgeColumns{datapathType: "system", failMode: "standalone",
		otherConfig: map[string]string{
			"datapath-id": n.DPID.Hex16(),
			// No hidden flows towards a controller: they would pass traffic that
			// no policy allowed (ovs-vswitchd.conf.db(5), disable-in-band).
			"disable-in-band": "true",
		},
		externalIDs: map[string]string{keyVersion: spec.Version, keyNetwork: string(n.ID), keySpec: string(text)},
	}
	if userspace {
		b.datapathType = "netdev"
	}
	if len(n.Controllers) > 0 {
		b.failMode = "secure"
	}
	if n.LocalMAC != "" {
		b.otherConfig["hwaddr"] = string(n.LocalMAC)
	}
	return b, nil
}

func (t *txn) createBridge(n spec.Network, want bridgeColumns) {
	ports := []string{t.insertLocal(n)}
	for i, u := range n.Uplinks {
		ports = append(ports, t.insertUplink(n, i, u))
	}
	t.insert(tableBridge, "bridge", ovsdb.Row{
		"name": n.Bridge, "datapath_type": want.datapathType, "fail_mode": want.failMode,
		"other_config": asMap(want.otherConfig), "external_ids": asMap(want.externalIDs),
		"ports": references(ports...),
	})
	t.mutate(tableRoot, t.ses.root, "bridges", ovsdb.MutateOperationInsert, references("bridge"))
}

// insertLocal adds the bridge's own port, which OVS wants in every bridge.
func (t *txn) insertLocal(n spec.Network) string {
	i := ovsdb.Row{"name": n.Bridge, "type": "internal"}
	if n.MTU > 0 {
		i["mtu_request"] = n.MTU
	}
	t.insert(tableInterface, "local_interface", i)
	return t.insert(tablePort, "local_port", ovsdb.Row{"name": n.Bridge, "interfaces": references("local_interface")})
}

func (t *txn) insertUplink(n spec.Network, i int, u spec.Uplink) string {
	r := ovsdb.Row{"name": u.Name}
	if u.OFPort != 0 {
		r["ofport_request"] = int(u.OFPort)
	}
	link := t.insert(tableInterface, fmt.Sprintf("uplink_interface_%d", i), r)
	return t.insert(tablePort, fmt.Sprintf("uplink_port_%d", i), uplinkVLANs(n, u).columns(ovsdb.Row{"name": u.Name, "interfaces": references(link),
		"external_ids": asMap(map[string]string{keyVersion: spec.Version, keyNetwork: string(n.ID), keyUplink: u.Name})}))
}

// repairBridge adds what differs from the spec to the transaction; nothing, as
// a rule.
func (t *txn) repairBridge(ctx context.Context, n spec.Network, old row, want bridgeColumns) error {
	change := ovsdb.NewRow()
	if old.text("datapath_type") != want.datapathType {
		change["datapath_type"] = want.datapathType
	}
	if old.text("fail_mode") != want.failMode {
		change["fail_mode"] = want.failMode
	}
	setMap(change, "other_config", old.dict("other_config"), want.otherConfig)
	setMap(change, "external_ids", old.dict("external_ids"), want.externalIDs)
	if len(change) > 0 {
		t.update(tableBridge, old.uuid(), change)
	}
	for i, u := range n.Uplinks {
		p, err := t.ses.one(ctx, selectOp(tablePort, where("name", u.Name), withVLANs("_uuid", "external_ids")...))
		if err != nil {
			return err
		}
		if p == nil {
			t.mutate(tableBridge, old.uuid(), "ports", ovsdb.MutateOperationInsert, references(t.insertUplink(n, i, u)))
			continue
		}
		if p.dict("external_ids")[keyUplink] != u.Name {
			continue // somebody else's port, and theirs to set
		}
		change := ovsdb.NewRow()
		if uplinkVLANs(n, u).repair(change, p); len(change) > 0 {
			t.update(tablePort, p.uuid(), change)
		}
	}
	return nil
}

// setMap puts want into change when the old column lacks any of it; keys that
// others added stay.
func setMap(change ovsdb.Row, column string, old, want map[string]string) {
	for k, v := range want {
		if old[k] != v {
			merged := maps.Clone(old)
			maps.Copy(merged, want)
			change[column] = asMap(merged)
			return
		}
	}
}

// DeleteBridge removes a network's bridge and with it all its ports; an absent
// one is fine. It returns when vswitchd has removed the bridge's link.
func (s *Switch) DeleteBridge(ctx context.Context, id spec.NetworkID) error {
	if err := s.deleteBridge(ctx, id); err != nil {
		return fmt.Errorf("cannot remove the bridge of network %q: %w", id.Short(), err)
	}
	return nil
}

func (s *Switch) deleteBridge(ctx context.Context, id spec.NetworkID) error {
	if s.BeforeRemoval != nil {
		after, err := s.BeforeRemoval(ctx)
		if err != nil {
			return err
		}
		defer after()
	}
	ses, err := s.current()
	if err != nil {
		return err
	}
	return ses.deleteBridge(ctx, id)
}

func (ses *session) deleteBridge(ctx context.Context, id spec.NetworkID) error {
	b, err := ses.one(ctx, selectOp(tableBridge, marked(keyNetwork, string(id)), "_uuid"))
	if err != nil || b == nil {
		return err
	}
	t := ses.begin()
	t.mutate(tableRoot, ses.root, "bridges", ovsdb.MutateOperationDelete, references(b.uuid()))
	t.removeLimits(keyNetwork, string(id))
	_, err = t.apply(ctx, true)
	return err
}
