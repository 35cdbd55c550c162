// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Keys of external_ids (ovs-vswitchd.conf.db(5), "Common Columns") by which a
// freshly started dovesnap knows its rows. A Bridge carries version, network
// and spec; a container's Port carries endpoint beside them, an uplink's Port
// uplink. A row without keyNetwork is somebody else's and is never changed.
const (
	keyVersion  = "dovesnap-version"  // spec.Version of the stored form
	keyNetwork  = "dovesnap-network"  // Docker's network ID
	keyEndpoint = "dovesnap-endpoint" // Docker's endpoint ID
	keyUplink   = "dovesnap-uplink"   // name of the host's interface
	keySpec     = "dovesnap-spec"     // spec.Network or spec.Endpoint as JSON
)

// Tables, by the names of ovs-vswitchd.conf.db(5). Only columns that have been
// there since OVS 2.13 are used.
const (
	tableRoot       = "Open_vSwitch"
	tableBridge     = "Bridge"
	tablePort       = "Port"
	tableInterface  = "Interface"
	tableController = "Controller"
	tableQoS        = "QoS"
	tableQueue      = "Queue"
)

// row reads the columns of a selected row. OVSDB writes a set of one element as
// the element itself, and an absent optional value as the empty set (RFC 7047
// section 5.1).
type row ovsdb.Row

func (r row) text(column string) string {
	s, _ := r[column].(string)
	return s
}

func (r row) flag(column string) bool {
	b, _ := r[column].(bool)
	return b
}

// number reports false for an absent value.
func (r row) number(column string) (int, bool) {
	f, ok := r[column].(float64)
	return int(f), ok
}

// numbers reads a set of integers, in ascending order.
func (r row) numbers(column string) []int {
	var out []int
	switch v := r[column].(type) {
	case float64:
		out = append(out, int(v))
	case ovsdb.OvsSet:
		for _, e := range v.GoSet {
			if f, ok := e.(float64); ok {
				out = append(out, int(f))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (r row) uuid() string {
	u, _ := r["_uuid"].(ovsdb.UUID)
	return u.GoUUID
}

// uuids reads a set of references.
func (r row) uuids(column string) []string {
	switch v := r[column].(type) {
	case ovsdb.UUID:
		return []string{v.GoUUID}
	case ovsdb.OvsSet:
		var out []string
		for _, e := range v.GoSet {
			if u, ok := e.(ovsdb.UUID); ok {
				out = append(out, u.GoUUID)
			}
		}
		return out
	}
	return nil
}

// dict reads a map of strings.
func (r row) dict(column string) map[string]string {
	out := map[string]string{}
	m, _ := r[column].(ovsdb.OvsMap)
	for k, v := range m.GoMap {
		key, isKey := k.(string)
		value, isValue := v.(string)
		if isKey && isValue {
			out[key] = value
		}
	}
	return out
}

// asMap writes a map of strings.
func asMap(m map[string]string) ovsdb.OvsMap {
	out := ovsdb.OvsMap{GoMap: map[any]any{}}
	for k, v := range m {
		out.GoMap[k] = v
	}
	return out
}

// references writes a set of references: UUIDs, or names of rows that the same
// transaction inserts.
func references(rows ...string) ovsdb.OvsSet {
	out := ovsdb.OvsSet{GoSet: []any{}}
	for _, r := range rows {
		out.GoSet = append(out.GoSet, ovsdb.UUID{GoUUID: r})
	}
	return out
}

// integers writes a set of integers.
func integers(numbers ...int) ovsdb.OvsSet {
	out := ovsdb.OvsSet{GoSet: []any{}}
	for _, n := range numbers {
		out.GoSet = append(out.GoSet, n)
	}
	return out
}

// optional writes a set of at most one element: none for the zero value.
func optional[T comparable](value T) ovsdb.OvsSet {
	out := ovsdb.OvsSet{GoSet: []any{}}
	if value != *new(T) {
		out.GoSet = append(out.GoSet, value)
	}
	return out
}

func where(column string, value any) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition(column, ovsdb.ConditionEqual, value)}
}

func byUUID(uuid string) []ovsdb.Condition { return where("_uuid", ovsdb.UUID{GoUUID: uuid}) }

// marked selects rows whose external_ids have a key with this value.
func marked(key, value string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, asMap(map[string]string{key: value}))}
}

func selectOp(table string, cond []ovsdb.Condition, columns ...string) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationSelect, Table: table, Where: cond, Columns: columns}
}
