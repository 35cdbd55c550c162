// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// EnsurePort puts the endpoint's host link into its network's bridge under the
// OF port number of the spec and returns the number it really has: OVS gives
// another one without a word when the number is taken. The caller keeps the
// real one and calls again, so that it's pinned for the next start of vswitchd.
func (s *Switch) EnsurePort(ctx context.Context, n spec.Network, e spec.Endpoint) (spec.OFPort, error) {
	var number spec.OFPort
	ses, err := s.current()
	if err == nil {
		number, err = ses.ensurePort(ctx, n, e)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot attach port %q: %w", spec.HostLink(e.ID), err)
	}
	return number, nil
}

func (ses *session) ensurePort(ctx context.Context, n spec.Network, e spec.Endpoint) (spec.OFPort, error) {
	name := spec.HostLink(e.ID)
	found, err := ses.read(ctx, append(limitsOf(e.ID),
		selectOp(tableBridge, where("name", n.Bridge), "_uuid", "external_ids", "datapath_type"),
		selectOp(tablePort, where("name", name), withVLANs("_uuid", "external_ids", "qos")...),
		selectOp(tableInterface, where("name", name), "_uuid", "ofport_request", "ofport", "error", "ingress_policing_rate", "ingress_policing_burst"))...)
	if err != nil {
		return 0, err
	}
	old, bridges, ports, interfaces := limits{found[0], found[1]}, found[2], found[3], found[4]
	t := ses.begin()
	if len(ports) == 0 {
		err = t.createPort(n, e, bridges, old)
	} else {
		err = t.repairPort(n, e, ports[0], interfaces, old)
	}
	if err == nil {
		err = checkTrunks(n, e)
	}
	if err == nil && len(bridges) > 0 {
		err = checkLimits(e, bridges[0])
	}
	if err != nil {
		return 0, err
	}
	now := [][]row{interfaces}
	// A row that vswitchd has not come to yet is waited for, as a new one is.
	if _, pending := ofports(now, name); len(t.ops) > 0 || pending != nil {
		if now, err = t.apply(ctx, true, interfaceChecks(name)...); err != nil {
			return 0, err
		}
	}
	numbers, err := ofports(now, name)
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

func portMarks(e spec.Endpoint) (map[string]string, error) {
	text, err := json.Marshal(e)
	return map[string]string{keyVersion: spec.Version, keyNetwork: string(e.Network), keyEndpoint: string(e.ID), keySpec: string(text)}, err
}

func (t *txn) createPort(n spec.Network, e spec.Endpoint, bridges []row, old limits) error {
	if len(bridges) == 0 || bridges[0].dict("external_ids")[keyNetwork] != string(n.ID) {
		return fmt.Errorf("bridge %q is missing", n.Bridge)
	}
	marks, err := portMarks(e)
	if err != nil {
		return err
	}
	name := spec.HostLink(e.ID)
	rate, burst := policing(e)
	t.insert(tableInterface, "interface", ovsdb.Row{"name": name, "ofport_request": int(e.OFPort),
		"ingress_policing_rate": rate, "ingress_policing_burst": burst,
		"external_ids": asMap(map[string]string{"attached-mac": string(e.MAC)})})
	t.insert(tablePort, "port", endpointVLANs(n, e).columns(ovsdb.Row{"name": name, "interfaces": references("interface"),
		"external_ids": asMap(marks), "qos": t.limit(e, old)}))
	t.mutate(tableBridge, bridges[0].uuid(), "ports", ovsdb.MutateOperationInsert, references("port"))
	return nil
}

func (t *txn) repairPort(n spec.Network, e spec.Endpoint, port row, interfaces []row, old limits) error {
	have := port.dict("external_ids")
	if have[keyEndpoint] != string(e.ID) {
		return errors.New("a port of this name exists that is not this endpoint's")
	}
	if have[keyVersion] != spec.Version {
		return errOtherVersion
	}
	marks, err := portMarks(e)
	if err != nil {
		return err
	}
	change := ovsdb.NewRow()
	setMap(change, "external_ids", have, marks)
	endpointVLANs(n, e).repair(change, port)
	if !old.receives(e, port) {
		change["qos"] = t.limit(e, old)
	}
	if len(change) > 0 {
		t.update(tablePort, port.uuid(), change)
	}
	rate, burst := policing(e)
	for _, i := range interfaces {
		change := ovsdb.NewRow()
		for column, want := range map[string]int{"ofport_request": int(e.OFPort), "ingress_policing_rate": rate, "ingress_policing_burst": burst} {
			if have, ok := i.number(column); !ok || have != want {
				change[column] = want
			}
		}
		if len(change) > 0 {
			t.update(tableInterface, i.uuid(), change)
		}
	}
	return nil
}

// DeletePort takes the endpoint's host link out of its bridge; an absent one is
// fine. It does not wait for vswitchd, which forgets the port by itself when
// the link goes.
func (s *Switch) DeletePort(ctx context.Context, id spec.EndpointID) error {
	ses, err := s.current()
	if err == nil {
		err = ses.deletePort(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("cannot remove port %q: %w", spec.HostLink(id), err)
	}
	return nil
}

func (ses *session) deletePort(ctx context.Context, id spec.EndpointID) error {
	found, err := ses.read(ctx, append(limitsOf(id), selectOp(tablePort, where("name", spec.HostLink(id)), "_uuid", "external_ids"))...)
	if err != nil {
		return err
	}
	t := ses.begin()
	for _, p := range found[2] {
		if p.dict("external_ids")[keyEndpoint] != string(id) {
			return nil
		}
		// Whichever bridge it's in by now: somebody may have moved it.
		b, err := ses.one(ctx, selectOp(tableBridge, having(p.uuid()), "_uuid"))
		if err != nil {
			return err
		}
		if b != nil {
			t.mutate(tableBridge, b.uuid(), "ports", ovsdb.MutateOperationDelete, references(p.uuid()))
		}
	}
	if !(limits{found[0], found[1]}).none() {
		t.removeLimits(keyEndpoint, string(id))
	}
	if len(t.ops) > 0 {
		_, err = t.commit(ctx, false)
	}
	return err
}

// having selects the bridge that a port is in.
func having(port string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, references(port))}
}

// interfaceChecks reads what vswitchd says of interfaces; ofports judges it.
func interfaceChecks(names ...string) []ovsdb.Operation {
	var ops []ovsdb.Operation
	for _, name := range names {
		ops = append(ops, selectOp(tableInterface, where("name", name), "ofport", "error"))
	}
	return ops
}

// ofports returns the numbers that vswitchd gave interfaces. One whose link it
// cannot open has -1 and says why in column error, though the transaction that
// added it succeeded.
func ofports(found [][]row, names ...string) ([]spec.OFPort, error) {
	out := make([]spec.OFPort, len(names))
	for i, name := range names {
		if len(found[i]) != 1 {
			return nil, fmt.Errorf("interface %q has vanished from Open vSwitch's database", name)
		}
		if text := found[i][0].text("error"); text != "" {
			return nil, fmt.Errorf("interface %q: %s", name, text)
		}
		number, ok := found[i][0].number("ofport")
		if !ok || number < 0 {
			return nil, fmt.Errorf("interface %q: Open vSwitch gave it no port number", name)
		}
		out[i] = spec.OFPort(number)
	}
	return out, nil
}
