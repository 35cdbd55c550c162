// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"

	"github.com/google/go-cmp/cmp"
)

// createMynet is the README's command, as it stands there.
const createMynet = "docker network create mynet -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 " +
	"-o ovs.bridge.controller=tcp:127.0.0.1:6653 --subnet 172.12.0.0/24 --ip-range=172.12.0.8/29 --gateway=172.12.0.1"

const runOnMynet = "docker run -td --net=mynet busybox"

// ready starts dockerd, has it do once what leaves traces of its own, and
// returns the snapshot before dovesnap.
func (h *testHost) ready(dockerdFlags ...string) (pristine string) {
	h.t.Helper()
	h.dockerd(dockerdFlags...)
	h.docker("run", "--rm", "busybox", "true")
	return h.snapshot()
}

// TestMainJob is the project's purpose: the README's commands, in their order,
// first time, and then no trace.
func TestMainJob(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		pristine := h.ready()
		daemon := h.dovesnap()
		faucet := h.faucet(faucetYAML)
		before := h.snapshot()

		h.run("sh", "-c", createMynet)
		one := h.run("sh", "-c", runOnMynet)
		two := h.run("sh", "-c", runOnMynet)

		network := h.inspect("mynet")
		wantOptions := map[string]string{
			"ovs.bridge.mode": "nat", "ovs.bridge.dpid": "0x1", "ovs.bridge.controller": "tcp:127.0.0.1:6653",
		}
		if diff := cmp.Diff(wantOptions, network.Options); diff != "" {
			t.Errorf("inspect shows other options (-want +got):\n%s", diff)
		}
		for container, want := range map[string]struct{ address, ofport string }{
			one: {"172.12.0.8/24", "1"}, two: {"172.12.0.9/24", "2"},
		} {
			shown := network.Containers[container]
			if shown.IPv4Address != want.address {
				t.Errorf("container has address %q, want %q", shown.IPv4Address, want.address)
			}
			if mac := h.mac(container); mac == "" || mac != shown.MacAddress {
				t.Errorf("container has MAC address %q, inspect shows %q", mac, shown.MacAddress)
			}
			if got := h.ofport(container); got != want.ofport {
				t.Errorf("container has OpenFlow port %s, want %s", got, want.ofport)
			}
		}

		h.reaches(one, "172.12.0.9")
		h.reaches(two, "172.12.0.8")
		h.reaches(one, "172.12.0.1")
		// 0x5adc15c0 is the cookie that Faucet gives its flows.
		if flows := h.run("ovs-ofctl", "-OOpenFlow13", "dump-flows", h.bridge()); !strings.Contains(flows, "0x5adc15c0") {
			t.Errorf("the bridge has no flow of Faucet's: %s", flows)
		}
		for _, container := range []string{one, two} {
			if seen := h.seenAs(container); seen != host.HostAddress {
				t.Errorf("outside sees %q, want %q", seen, host.HostAddress)
			}
		}
		h.reaches(one, two[:12]) // by Docker's DNS, which in 20.10 knows no name but a given one
		h.reaches(two, host.OutsideName)
		h.withoutGatewayBridge(one, two)

		h.docker("rm", "-f", one, two)
		h.docker("network", "rm", "mynet")
		h.nothingLeftSince(before)

		h.kill(faucet.Process)
		h.stop(daemon)
		h.run(host.Program, "cleanup")
		h.nothingLeftSince(pristine)
	})
}

// denyICMP is faucetYAML with an ACL that lets everything but ICMP pass.
const denyICMP = `acls:
  no-icmp:
    - rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}
    - rule: {actions: {allow: true}}
dps:
  docker-ovs:
    dp_id: 0x1
    hardware: Open vSwitch
    interfaces:
      0xfffffffe:
        native_vlan: 100
    interface_ranges:
      1-10:
        native_vlan: 100
        acls_in: [no-icmp]
`

// Nothing passes but what Faucet's flows let pass.
func TestFaucetDecides(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.dovesnap()
		h.run("sh", "-c", createMynet)
		one, two := h.container("one", "mynet"), h.container("two", "mynet")
		for range 3 {
			if h.pings(one, "172.12.0.9") == nil || h.pings(one, "172.12.0.1") == nil {
				t.Fatal("a ping passes before Faucet runs")
			}
		}
		faucet := h.faucet(faucetYAML)
		h.reaches(one, "172.12.0.9")
		h.reaches(two, "172.12.0.1")

		if err := faucet.Reload(t.Context(), denyICMP); err != nil {
			t.Fatal(err)
		}
		h.loses(one, "172.12.0.9")
		if seen := h.seenAs(one); seen != host.HostAddress {
			t.Errorf("outside sees %q while ICMP is denied", seen)
		}
		if err := faucet.Reload(t.Context(), faucetYAML); err != nil {
			t.Fatal(err)
		}
		h.reaches(one, "172.12.0.9")
	})
}
