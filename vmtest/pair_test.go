// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// TestPair joins two hosts by a cable whose ends are ports of dovesnap's bridges:
// containers of both are on one VLAN, on plain switches and behind Faucet, and
// stay so while dovesnap and its switch restart on one of them.
func TestPair(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		t.Run("switches", func(t *testing.T) {
			pair(t, suite, "")
		})
		t.Run("faucets", func(t *testing.T) {
			pair(t, suite, "-o ovs.bridge.dpid=0x1 -o ovs.bridge.controller=tcp:127.0.0.1:6653")
		})
	})
}

func pair(t *testing.T, suite, options string) {
	a, b := vm.Pair(t, suite, true)
	const lan = "10.7.0.0/24"
	for i, g := range []*vm.Guest{a, b} {
		if options != "" {
			g.Faucet(faucetYAML)
		}
		// A range of its own for each host: their Dockers do not know of each other.
		create(g, fmt.Sprintf("docker network create lan -d ovs -o ovs.bridge.mode=flat -o ovs.bridge.add_ports=eth1/10 %s"+
			" --subnet %s --ip-range 10.7.0.%d/26 --gateway 10.7.0.%d", options, lan, 64*(i+1), 250+i))
		run(g, "lan", "c1")
		onKernel(g)
	}
	there := address(b, "c1")
	a.Await("a ping from one host's container to the other's", "docker exec c1 ping -c 1 -W 1 "+there)
	ping, stream := a.Ping("c1", there), a.StreamTo(b, "c1", "c1", there, 5000)
	a.Sh("systemctl restart dovesnap")
	healthy(a)
	ping.Continue(afterwards)
	ping.NoneLost()
	stream.Unbroken()

	// What is on one host only leaves by the cable as well.
	run(b, "lan", "c2")
	a.Await("a ping to a container that came later", "docker exec c1 ping -c 1 -W 1 "+address(b, "c2"))
	if _, code := a.Try("docker run --rm --net bridge busybox ping -c 1 -W 2 " + there); code == 0 {
		t.Error("a container of another network reaches the LAN")
	}

	for _, g := range []*vm.Guest{a, b} {
		healthy(g)
		g.Sh("docker rm -f $(docker ps -aq) && docker network rm lan")
		// The interface is the host's again.
		g.Sh("! ovs-vsctl list-br | grep . && ip addr add 192.0.2.$(hostname | tr ab 12)/24 dev eth1")
	}
	a.Await("the other host, without dovesnap", "ping -c 1 -W 1 192.0.2.2")
}
