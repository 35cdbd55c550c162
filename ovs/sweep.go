// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// SweepQoS removes QoS and Queue rows of ours that no port has: those of a port or
// a bridge that somebody else removed.
func (s *Switch) SweepQoS(ctx context.Context) error {
	ses, err := s.current()
	if err == nil {
		err = ses.sweepQoS(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot sweep rate limits: %w", err)
	}
	return nil
}

func (ses *session) sweepQoS(ctx context.Context) error {
	limited := []ovsdb.Condition{ovsdb.NewCondition("qos", ovsdb.ConditionNotEqual, references())}
	found, err := ses.read(ctx, selectOp(tablePort, limited, "qos"),
		selectOp(tableQoS, nil, "_uuid", "queues", "external_ids"), selectOp(tableQueue, nil, "_uuid", "external_ids"))
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, port := range found[0] {
		for _, id := range port.uuids("qos") {
			used[id] = true
		}
	}
	t := ses.begin()
	for _, qos := range found[1] {
		if !t.sweepRow(tableQoS, qos, used) {
			for _, queue := range qos.queues() {
				used[queue] = true
			}
		}
	}
	for _, queue := range found[2] {
		t.sweepRow(tableQueue, queue, used)
	}
	if len(t.ops) == 0 {
		return nil
	}
	_, err = t.ses.transact(ctx, t.ops...)
	return err
}

// sweepRow removes a row that is ours and not used; false when it stays.
func (t *txn) sweepRow(table string, r row, used map[string]bool) bool {
	if used[r.uuid()] || r.dict("external_ids")[keyEndpoint] == "" {
		return false
	}
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: table, Where: byUUID(r.uuid())})
	return true
}
