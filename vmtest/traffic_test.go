// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"strings"
	"testing"

	"dovesnap/vmtest/vm"
)

// working returns a guest that does its main job.
func working(t testing.TB, suite string) *vm.Guest {
	t.Helper()
	return vm.Prepared(t, suite, "mainjob", mainJob)
}

// traffic is what containers c1 and c2 of mainJob's have going between them, and
// what they know of the switch, while something happens to it.
type traffic struct {
	t              *testing.T
	g              *vm.Guest
	pings          []*vm.Ping
	stream         *vm.Stream
	numbers, flows string
}

// afterwards is how many pings must come back when all has settled: five seconds
// of them, for what comes late.
const afterwards = 250

// traffics numbers the streams: a port of one that has ended is not free yet.
var traffics int

// begin has c1 and c2 talk.
func begin(t *testing.T, g *vm.Guest) *traffic {
	to := address(g, "c2")
	traffics++
	return &traffic{
		t: t, g: g,
		numbers: numbers(g), flows: flows(g),
		pings:  []*vm.Ping{g.Ping("c1", to), g.Ping("c2", address(g, "c1"))},
		stream: g.Stream("c1", "c2", to, 5000+traffics%1000),
	}
}

// unharmed waits until the switch and dovesnap are as they were, and fails the test
// if a packet was lost meanwhile.
func (r *traffic) unharmed() {
	r.recovered()
	r.lostNothing()
}

// lostNothing ends the traffic, and fails the test if a packet was lost.
func (r *traffic) lostNothing() {
	for _, ping := range r.pings {
		ping.Continue(afterwards)
	}
	for _, ping := range r.pings {
		ping.NoneLost()
	}
	r.stream.Unbroken()
}

// survived is unharmed, but for packets that were lost, which are only told.
func (r *traffic) survived() (lost string) {
	r.recovered()
	var all []string
	for _, ping := range r.pings {
		ping.Continue(afterwards)
		all = append(all, ping.Stop().String())
	}
	r.stream.Unbroken()
	return strings.Join(all, "; ")
}

// recovered waits until dovesnap finds nothing wrong, the switch is as it was, and
// one more container works.
func (r *traffic) recovered() {
	healthy(r.g)
	r.switched()
	r.g.Sh("docker run --rm --net mynet busybox ping -c 1 -W 5 172.12.0.1")
}

// switched waits until the switch has its controllers, its port numbers and its
// flows.
func (r *traffic) switched() {
	if now := numbers(r.g); now != r.numbers {
		r.t.Errorf("other datapath ids or OpenFlow ports; before:\n%s\nnow:\n%s", r.numbers, now)
	}
	r.g.Await("the flows from before", fmt.Sprintf(`diff -u - <(%s) <<'FLOWS'
%s
FLOWS`, listFlows, r.flows))
	onKernel(r.g)
}

// listFlows prints the flows of every bridge but those that come and go with a
// host that Faucet learns, and its controllers, sorted.
const listFlows = `for bridge in $(ovs-vsctl list-br); do
	ovs-vsctl --timeout=10 --verbose=console:err --columns=target,is_connected,role list controller
	ovs-ofctl --verbose=console:err -O OpenFlow13 --no-stats dump-flows $bridge | grep -v _timeout= | sed "s/^/$bridge/" | sort
done`

// flows are those that a guest's bridges have.
func flows(g *vm.Guest) string {
	return g.Sh(listFlows)
}
