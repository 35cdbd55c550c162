// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"
)

// op is one operation of a transaction, in RFC 7047 section 5.2's own words:
// libovsdb's Operation omits an empty "where", which mutate requires.
type op map[string]any

// transact runs ops in one transaction and returns their results, in order.
func (c Config) transact(ctx context.Context, ops ...op) ([]ovsdb.OperationResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout*2)
	defer cancel()
	params := []any{"Open_vSwitch"}
	for _, o := range ops {
		params = append(params, o)
	}
	raw, err := call(ctx, c.socket(), "transact", params...)
	if err != nil {
		return nil, err
	}
	var results []ovsdb.OperationResult
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, fmt.Errorf("%s transact: %w", c.socket(), err)
	}
	for i, r := range results { // the one that failed may come after the last op
		if r.Error != "" {
			return nil, fmt.Errorf("%s transact: %w", c.socket(), &opError{r.Error, r.Details, ioError(raw, i)})
		}
	}
	if len(results) < len(ops) {
		return nil, fmt.Errorf("%s transact: %d results for %d operations", c.socket(), len(results), len(ops))
	}
	return results, nil
}

// opError is why an operation, or the commit after the last, failed.
type opError struct {
	kind    string // RFC 7047 section 3.1
	details string
	cause   string // the system's word for it, which ovsdb-server adds
}

func (e *opError) Error() string {
	return strings.TrimSuffix(strings.Join([]string{e.kind, e.details, e.cause}, ": "), ": ")
}

// ioError is the member of a result's that libovsdb drops.
func ioError(raw json.RawMessage, i int) string {
	var results []struct {
		Cause string `json:"io-error"`
	}
	if json.Unmarshal(raw, &results) != nil || i >= len(results) {
		return ""
	}
	return results[i].Cause
}

// unwritable is true of an error that is the database's disk's: it is full, mostly.
// What is in the database is served all the same.
func unwritable(err error) bool {
	var failed *opError
	return errors.As(err, &failed) && (failed.kind == "I/O error" || failed.kind == "resources exhausted") ||
		errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EIO)
}

// room is what a start of ovs-vswitchd writes to the database, and much more.
const room = 128 << 10

// hasRoom reports whether that much can be written, as far as can be known.
func (c Config) hasRoom() bool {
	db, err := resolve(c.database())
	var fs unix.Statfs_t
	if err != nil || unix.Statfs(filepath.Dir(db), &fs) != nil || fs.Blocks == 0 { // without a limit
		return true
	}
	return fs.Bfree*uint64(fs.Bsize) >= room
}

// root is what we read of the one row of table Open_vSwitch.
type root struct {
	next, current int // next_cfg: asked of ovs-vswitchd; cur_cfg: done by it
	other, ids    map[string]string
}

func selectRoot() op {
	return op{"op": "select", "table": "Open_vSwitch", "where": []any{},
		"columns": []string{"next_cfg", "cur_cfg", "other_config", "external_ids"}}
}

func mutateRoot(mutations ...any) op {
	return op{"op": "mutate", "table": "Open_vSwitch", "where": []any{}, "mutations": mutations}
}

// put and drop are mutations of a map column; an insert alone would keep the old
// value of a key that exists.
func put(column string, kv map[string]string) []any {
	keys, pairs := []any{}, []any{}
	for k, v := range kv {
		keys, pairs = append(keys, k), append(pairs, []any{k, v})
	}
	return []any{drop(column, keys...), []any{column, "insert", []any{"map", pairs}}}
}

func drop(column string, keys ...any) any {
	return []any{column, "delete", []any{"set", keys}}
}

// ask bumps next_cfg: ovs-vswitchd answers by cur_cfg once it has done it all.
var ask = []any{"next_cfg", "+=", 1}

func (c Config) root(ctx context.Context) (root, error) {
	results, err := c.transact(ctx, selectRoot())
	if err != nil {
		return root{}, err
	}
	return rootOf(results[0])
}

func rootOf(r ovsdb.OperationResult) (root, error) {
	if len(r.Rows) != 1 {
		return root{}, fmt.Errorf("table Open_vSwitch has %d rows, want one", len(r.Rows))
	}
	row := r.Rows[0]
	return root{next: integer(row["next_cfg"]), current: integer(row["cur_cfg"]),
		other: stringMap(row["other_config"]), ids: stringMap(row["external_ids"])}, nil
}

func integer(v any) int {
	n, _ := v.(float64) // JSON's number; next_cfg stays far below 2^53
	return int(n)
}

func text(v any) string {
	s, _ := v.(string) // an empty optional column arrives as a set
	return s
}

// members counts a column of a set, which arrives as one value when it has one.
func members(v any) int {
	if set, ok := v.(ovsdb.OvsSet); ok {
		return len(set.GoSet)
	}
	return 1
}

func stringMap(v any) map[string]string {
	m := map[string]string{}
	if om, ok := v.(ovsdb.OvsMap); ok {
		for k, val := range om.GoMap {
			m[text(k)] = text(val)
		}
	}
	return m
}
