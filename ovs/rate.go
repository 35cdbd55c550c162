// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// An endpoint's limit on what it receives is a QoS row with one Queue, which
// becomes an HTB queueing discipline on the host's link; that on what it sends is
// ingress policing, in columns of its Interface. Nothing removes a QoS or a Queue
// that nothing refers to any more (both are root tables of the schema): they
// carry the same marks as the port, go in the transaction that removes it, and
// SweepQoS finds those whose port somebody else removed.

// maxRate is what Open vSwitch hands to the kernel at most, in bits per second:
// before 3.2 it counts bytes in 32 bits, and a rate beyond would wrap to a small
// one. No link of a container is as fast.
const maxRate = 34e9

// htbType is in the kernel, and the same on both datapaths: each hands frames to
// the container through the host's link.
const (
	htbType    = "linux-htb"
	keyMaxRate = "max-rate"
)

// limits are what was read of an endpoint's limits.
type limits struct{ qos, queues []row }

func (l limits) none() bool { return len(l.qos)+len(l.queues) == 0 }

// limitsOf selects the rows of an endpoint, for a limits.
func limitsOf(id spec.EndpointID) []ovsdb.Operation {
	mine := marked(keyEndpoint, string(id))
	return []ovsdb.Operation{
		selectOp(tableQoS, mine, "_uuid", "type", "queues", "other_config"),
		selectOp(tableQueue, mine, "_uuid", "other_config"),
	}
}

// receives reports whether the rows give the port of the endpoint the limit that
// the spec wants, and nothing else.
func (l limits) receives(e spec.Endpoint, port row) bool {
	have := port.uuids("qos")
	if e.RateIn == 0 {
		return l.none() && len(have) == 0
	}
	if len(l.qos) != 1 || len(l.queues) != 1 {
		return false
	}
	qos, queue, rate := l.qos[0], l.queues[0], rateText(e.RateIn)
	return slices.Equal(have, []string{qos.uuid()}) && qos.text("type") == htbType &&
		qos.dict("other_config")[keyMaxRate] == rate && queue.dict("other_config")[keyMaxRate] == rate &&
		maps.Equal(qos.queues(), map[int]string{0: queue.uuid()})
}

// queues reads a QoS' map of numbers to Queues.
func (r row) queues() map[int]string {
	out := map[int]string{}
	m, _ := r["queues"].(ovsdb.OvsMap)
	for k, v := range m.GoMap {
		number, isNumber := k.(float64)
		queue, isUUID := v.(ovsdb.UUID)
		if isNumber && isUUID {
			out[int(number)] = queue.GoUUID
		}
	}
	return out
}

func rateText(r spec.BitRate) string { return strconv.FormatUint(uint64(min(r, maxRate)), 10) }

// limit makes the rows of an endpoint anew, when it shall have any, and returns
// what its Port's column qos is to be.
func (t *txn) limit(e spec.Endpoint, old limits) ovsdb.OvsSet {
	if !old.none() {
		t.removeLimits(keyEndpoint, string(e.ID))
	}
	if e.RateIn == 0 {
		return references()
	}
	rate := asMap(map[string]string{keyMaxRate: rateText(e.RateIn)})
	marks := asMap(map[string]string{keyVersion: spec.Version, keyNetwork: string(e.Network), keyEndpoint: string(e.ID)})
	queue := t.insert(tableQueue, "queue", ovsdb.Row{"other_config": rate, "external_ids": marks})
	return references(t.insert(tableQoS, "qos", ovsdb.Row{"type": htbType, "other_config": rate, "external_ids": marks,
		"queues": ovsdb.OvsMap{GoMap: map[any]any{0: ovsdb.UUID{GoUUID: queue}}}}))
}

// removeLimits removes the rows with a mark. The ports with that mark let go of
// them first: a port that the same transaction removes still counts as a reference.
func (t *txn) removeLimits(key, value string) {
	t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: tablePort, Where: marked(key, value), Row: ovsdb.Row{"qos": references()}})
	for _, table := range []string{tableQoS, tableQueue} {
		t.ops = append(t.ops, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: table, Where: marked(key, value)})
	}
}

// policing is the two columns of an Interface that limit what its container
// sends: kbit/s, and the kbit that may come at once.
func policing(e spec.Endpoint) (rate, burst int) {
	if e.RateOut == 0 {
		return 0, 0
	}
	rate = min(e.RateOut, maxRate).Kbps()
	return rate, policingBurst(rate)
}

// policingBurst is a quarter of a second's worth and some 16 packets. Policing drops
// what is too much, and TCP then slows down by more than it has to: with a tenth of
// a second it got half of the rate, with a second a tenth too much, as measured over
// six seconds at 1, 10 and 100 Mbit/s on the kernel's datapath. Open vSwitch's own
// default, 8000 kbit, is too much for slow ports and not enough for fast ones.
func policingBurst(rate int) int { return rate/4 + 200 }

// checkLimits refuses what the bridge's datapath cannot do. That of userspace
// reads a container's frames from a packet socket, which the kernel serves before
// its policing.
func checkLimits(e spec.Endpoint, bridge row) error {
	if e.RateOut != 0 && bridge.text("datapath_type") == "netdev" {
		return errors.New("driver-opt ovs.port.rate_out: Open vSwitch's userspace datapath cannot limit what a container sends")
	}
	return nil
}
