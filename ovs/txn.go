// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// read runs select operations in one transaction and returns the rows of each.
func (ses *session) read(ctx context.Context, ops ...ovsdb.Operation) ([][]row, error) {
	results, err := ses.transact(ctx, ops...)
	if err != nil {
		return nil, err
	}
	out := make([][]row, len(ops))
	for i := range ops {
		for _, r := range results[i].Rows {
			out[i] = append(out[i], row(r))
		}
	}
	return out, nil
}

// one runs a select operation and returns its only row, nil when there is none.
func (ses *session) one(ctx context.Context, op ovsdb.Operation) (row, error) {
	rows, err := ses.read(ctx, op)
	if err != nil || len(rows[0]) == 0 {
		return nil, err
	}
	return rows[0][0], nil
}

// txn collects the operations of one transaction.
type txn struct {
	ses *session
	ops []ovsdb.Operation
}

func (ses *session) begin() *txn { return &txn{ses: ses} }

// insert adds a row, which the rest of the transaction refers to by name, an
// <id> of RFC 7047 section 3.1.
func (t *txn) insert(table, name string, r ovsdb.Row) string {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, UUIDName: name, Row: r})
	return name
}

// update sets columns of one row.
func (t *txn) update(table, uuid string, r ovsdb.Row) {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Where: byUUID(uuid), Row: r})
}

// mutate changes one column of one row in place.
func (t *txn) mutate(table, uuid, column string, mutator ovsdb.Mutator, value any) {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: byUUID(uuid),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, mutator, value)}})
}

// commit runs the transaction with next_cfg raised by one, durably or not, and
// returns next_cfg: the change is applied when cur_cfg has reached it
// (ovs-vswitchd.conf.db(5), "Configuration Status").
func (t *txn) commit(ctx context.Context, durable bool) (int, error) {
	t.mutate(tableRoot, t.ses.root, "next_cfg", ovsdb.MutateOperationAdd, 1)
	at := len(t.ops)
	t.ops = append(t.ops, selectOp(tableRoot, byUUID(t.ses.root), "next_cfg"))
	if durable {
		t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationCommit, Durable: &durable})
	}
	results, err := t.ses.transact(ctx, t.ops...)
	if err != nil {
		return 0, err
	}
	if len(results[at].Rows) == 1 {
		if next, ok := row(results[at].Rows[0]).number("next_cfg"); ok {
			return next, nil
		}
	}
	return 0, errors.New("Open vSwitch's database has no next_cfg")
}

// apply commits, waits until ovs-vswitchd has applied the change, and reads in
// the same breath what then is true.
func (t *txn) apply(ctx context.Context, durable bool, then ...ovsdb.Operation) ([][]row, error) {
	next, err := t.commit(ctx, durable)
	if err != nil {
		return nil, err
	}
	results, err := t.ses.read(ctx, append([]ovsdb.Operation{t.ses.applied(ctx, next)}, then...)...)
	var refused *refusal
	if errors.As(err, &refused) && refused.kind == "timed out" || ctx.Err() != nil {
		return nil, errors.New("ovs-vswitchd has not applied the change in time; `dovesnap status` says whether it runs")
	}
	if err != nil {
		return nil, err
	}
	return results[1:], nil
}

// applied waits, on the server's side, until no root row has a cur_cfg below
// next (RFC 7047 section 5.2.6).
func (ses *session) applied(ctx context.Context, next int) ovsdb.Operation {
	timeout := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	ms := int(timeout.Milliseconds())
	return ovsdb.Operation{Op: ovsdb.OperationWait, Table: tableRoot, Timeout: &ms, Until: string(ovsdb.WaitConditionNotEqual),
		Where:   []ovsdb.Condition{ovsdb.NewCondition("cur_cfg", ovsdb.ConditionLessThan, next)},
		Columns: []string{"_uuid"}, Rows: []ovsdb.Row{{"_uuid": ovsdb.UUID{GoUUID: ses.root}}}}
}
