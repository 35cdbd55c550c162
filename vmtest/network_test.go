// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dovesnap/vmtest/vm"
)

// The README's example, as it stands there.
const (
	faucetYAML = `dps:
  docker-ovs:
    dp_id: 0x1
    hardware: Open vSwitch
    interfaces:
      0xfffffffe:
        native_vlan: 100
    interface_ranges:
      1-10:
        native_vlan: 100
`
	createMynet = "docker network create mynet -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 " +
		"-o ovs.bridge.controller=tcp:127.0.0.1:6653 --subnet 172.12.0.0/24 --ip-range=172.12.0.8/29 --gateway=172.12.0.1"
)

// mainJob is the README's example, which ends when its containers, c1 and c2, talk
// by the flows that Faucet gave a secure bridge.
func mainJob(g *vm.Guest) {
	g.Faucet(faucetYAML)
	create(g, createMynet)
	run(g, "mynet", "c1", "c2")
	talk(g)
	g.Sh(`bridge=$(ovs-vsctl list-br | grep ^dsb)
		test $(ovs-vsctl get-fail-mode $bridge) = secure
		# The cookie of Faucet's flows.
		ovs-ofctl -O OpenFlow13 dump-flows $bridge | grep -q 0x5adc15c0`)
	onKernel(g)
}

// create makes a network. Docker may be told, once, that the call's 10 s are over:
// the first bridge opens the kernel's datapath, which took ovs-vswitchd 2.5 s on an
// emulated processor that it shared with other work, and may take longer on one that
// is starved. Any other failure is one, and so is a second.
func create(g *vm.Guest, command string) {
	out, code := g.Try(command)
	if code != 0 && tooSlow.MatchString(out) {
		g.Logf("trying again: %s", out)
		healthy(g)
		out, code = g.Try(command)
	}
	if code != 0 {
		g.Fatalf("exit code %d of %s: %s", code, command, out)
	}
}

var tooSlow = regexp.MustCompile(`deadline exceeded|not applied the change in time`)

// run starts containers that come back after a reboot.
func run(g *vm.Guest, network string, names ...string) {
	for _, name := range names {
		g.Sh(fmt.Sprintf("docker run -td --restart=always --name %s --net %s busybox", name, network))
	}
}

// address is a container's, as Docker says.
func address(g *vm.Guest, container string) string {
	return g.Sh("docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' " + container)
}

// talk waits until containers c1 and c2 reach each other, a container that does not
// run included.
func talk(g *vm.Guest) {
	g.Await("a ping from c1 to c2", `c2=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' c2) &&
		docker exec c1 ping -c 1 -W 1 $c2`)
}

// healthy waits until dovesnap finds nothing wrong.
func healthy(g *vm.Guest) {
	g.Await("a dovesnap without problems", "dovesnap status")
}

// onKernel fails the test unless the switch is the kernel's.
func onKernel(g *vm.Guest) {
	g.Sh("ovs-appctl dpctl/show | grep '^system@ovs-system'")
}

// numbers are what Faucet's rules know networks and containers by, one a line: a
// network's datapath id, a container's OpenFlow port, as Open vSwitch has them.
// What Open vSwitch's tools say of a slow machine is none of them.
func numbers(g *vm.Guest) string {
	return g.Await("every container's OpenFlow port", `set -o pipefail
		status=$(dovesnap status --json) || test $? = 1
		echo "$status" | jq -r '.networks[] | "\(.name // error) bridge \(.bridge) datapath_id",
			(.endpoints[] | "\(.container // error) interface \(.link) ofport")' |
		while read -r name table row column; do
			number=$(ovs-vsctl --timeout=10 --verbose=console:err get $table $row $column) || exit
			echo "$name $number"
		done | sort`)
}

// unnamed are numbers without the names: containers that start at the same time
// do so in no order.
func unnamed(numbers string) string {
	var out []string
	for _, line := range strings.Split(numbers, "\n") {
		_, number, _ := strings.Cut(line, " ")
		out = append(out, number)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// pids are those of Open vSwitch's daemons.
func pids(g *vm.Guest) string {
	return g.Sh("cat /run/openvswitch/ovsdb-server.pid /run/openvswitch/ovs-vswitchd.pid")
}
