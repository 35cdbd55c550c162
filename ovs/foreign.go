// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// ForeignPorts returns the ports that somebody else put into bridges of ours, by
// their OF port numbers: a VM's tap, a tunnel, a patch port, and of a bond each
// interface. One that vswitchd could not open has no number, and is left out; one
// whose link has been moved to another network namespace keeps its own.
//
// The server picks them out, so that the answer costs what it holds, whatever
// number of containers is attached.
func (s *Switch) ForeignPorts(ctx context.Context) (map[spec.NetworkID][]spec.ForeignPort, error) {
	ses, err := s.current()
	var found map[spec.NetworkID][]spec.ForeignPort
	if err == nil {
		found, err = ses.foreignPorts(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the ports of others: %w", err)
	}
	return found, nil
}

func (ses *session) foreignPorts(ctx context.Context) (map[spec.NetworkID][]spec.ForeignPort, error) {
	bridges, err := ses.read(ctx, selectOp(tableBridge, nil, "_uuid", "name", "external_ids"))
	if err != nil {
		return nil, err
	}
	networks := map[string]spec.NetworkID{} // by the bridge's UUID
	var unmarked []ovsdb.Condition
	for _, b := range bridges[0] {
		id := b.dict("external_ids")[keyNetwork]
		if id == "" {
			continue
		}
		networks[b.uuid()] = spec.NetworkID(id)
		unmarked = append(unmarked, ovsdb.NewCondition("name", ovsdb.ConditionNotEqual, b.text("name")),
			ovsdb.NewCondition("external_ids", ovsdb.ConditionExcludes, asMap(map[string]string{keyNetwork: id})))
	}
	if len(networks) == 0 {
		return nil, nil
	}
	ports, err := ses.read(ctx, selectOp(tablePort, unmarked, "_uuid", "interfaces", "external_ids"))
	if err != nil {
		return nil, err
	}
	out := map[spec.NetworkID][]spec.ForeignPort{}
	for _, p := range ports[0] {
		if p.dict("external_ids")[keyNetwork] != "" {
			continue // of a network that was made since
		}
		ops := []ovsdb.Operation{selectOp(tableBridge, having(p.uuid()), "_uuid")}
		for _, i := range p.uuids("interfaces") {
			ops = append(ops, selectOp(tableInterface, byUUID(i), "name", "ofport"))
		}
		found, err := ses.read(ctx, ops...)
		if err != nil {
			return nil, err
		}
		if len(found[0]) == 0 || networks[found[0][0].uuid()] == "" {
			continue
		}
		id := networks[found[0][0].uuid()]
		for _, i := range slices.Concat(found[1:]...) {
			if number, _ := i.number("ofport"); number > 0 {
				out[id] = append(out[id], spec.ForeignPort{Name: i.text("name"), OFPort: spec.OFPort(number)})
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b spec.ForeignPort) int { return cmp.Compare(a.OFPort, b.OFPort) })
	}
	return out, nil
}
