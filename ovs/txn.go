// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"
	"regexp"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// txn collects the operations of one transaction; the first error sticks and
// is returned by commit, so that callers read straight on.
type txn struct {
	ses *session
	ops []ovsdb.Operation
	err error
}

func (ses *session) begin() *txn { return &txn{ses: ses} }

// insert adds rows. A UUID field that is a plain identifier names the row for
// the rest of the transaction.
func (t *txn) insert(rows ...model.Model) {
	for _, row := range rows {
		ops, err := t.ses.client.Create(row)
		t.add(ops, err)
	}
}

func (t *txn) add(ops []ovsdb.Operation, err error) {
	if t.err == nil {
		t.err = err
	}
	t.ops = append(t.ops, ops...)
}

func byUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

// update sets columns of one row.
func (t *txn) update(table, uuid string, row ovsdb.Row) {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Where: byUUID(uuid), Row: row})
}

// reference inserts or deletes rows in a column that is a set of references.
func (t *txn) reference(table, uuid, column string, mutator ovsdb.Mutator, rows ...string) {
	set := ovsdb.OvsSet{}
	for _, r := range rows {
		set.GoSet = append(set.GoSet, ovsdb.UUID{GoUUID: r})
	}
	t.mutate(table, uuid, column, mutator, set)
}

func (t *txn) mutate(table, uuid, column string, mutator ovsdb.Mutator, value any) {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: byUUID(uuid),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, mutator, value)}})
}

// commit runs the transaction with next_cfg raised by one, durably or not, and
// returns next_cfg: the change is applied when cur_cfg has reached it
// (ovs-vswitchd.conf.db(5), "Configuration Status").
func (t *txn) commit(ctx context.Context, durable bool) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	root, err := t.ses.root(ctx)
	if err != nil {
		return 0, err
	}
	t.mutate(tableRoot, root.UUID, "next_cfg", ovsdb.MutateOperationAdd, 1)
	at := len(t.ops)
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationSelect, Table: tableRoot, Where: byUUID(root.UUID), Columns: []string{"next_cfg"}})
	if durable {
		t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationCommit, Durable: &durable})
	}
	results, err := t.ses.transact(ctx, t.ops...)
	if err != nil {
		return 0, err
	}
	if rows := results[at].Rows; len(rows) == 1 {
		if next, ok := rows[0]["next_cfg"].(float64); ok {
			return int(next), nil
		}
	}
	return 0, fmt.Errorf("Open vSwitch's database has no usable next_cfg")
}

// apply commits and waits until ovs-vswitchd has applied the change.
func (t *txn) apply(ctx context.Context, durable bool) error {
	next, err := t.commit(ctx, durable)
	if err != nil {
		return err
	}
	if err := t.ses.curCfg.await(ctx, next); err != nil {
		return fmt.Errorf("ovs-vswitchd has not applied the change in time; is it running?")
	}
	return nil
}

// root returns the only row of table Open_vSwitch.
func (ses *session) root(ctx context.Context) (*openVSwitch, error) {
	var rows []openVSwitch
	if err := ses.client.List(ctx, &rows); err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("Open vSwitch's database is not initialised: %d rows in table Open_vSwitch", len(rows))
	}
	return &rows[0], nil
}

var notIdentifier = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// rowName makes the name by which later operations of a transaction refer to a
// new row: an <id> of RFC 7047 section 3.1.
func rowName(kind, name string) string {
	return kind + "_" + notIdentifier.ReplaceAllString(name, "_")
}

func ptr[T any](v T) *T { return &v }
