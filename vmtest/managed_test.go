// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// aclsYAML is an operator's faucet.yaml without a datapath.
const aclsYAML = `acls:
  open:
    - rule: {actions: {allow: true}}
  no-icmp:
    - rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}
    - rule: {actions: {allow: true}}
dps:
  elsewhere:
    dp_id: 0xfe
    hardware: Open vSwitch
    interfaces: {1: {native_vlan: 100}}
`

// TestManagedFaucet is faucet.mode file as a package installs it: in the daemon's
// sandbox, with Faucet as a unit beside it, on the kernel's datapath.
func TestManagedFaucet(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Installed(t, suite)
		g.Faucet(aclsYAML)
		g.Sh(`dovesnap faucet init
			printf 'faucet: {mode: file}\ncontrollers: [tcp:127.0.0.1:6653]\n' >/etc/dovesnap/dovesnap.yaml
			systemctl restart dovesnap`)
		create(g, "docker network create mynet -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.default_acl=open --subnet 172.12.0.0/24 --gateway 172.12.0.1")
		g.Sh("docker run -td --restart=always --name c1 --net mynet busybox")
		g.Await("a ping to the gateway", "docker exec c1 ping -c 1 -W 1 172.12.0.1")
		onKernel(g)

		// A label's ACL, and one's MAC address, which takes a unit of its own.
		g.Sh("docker run -td --restart=always --name c2 --net mynet --label dovesnap.faucet.portacl=no-icmp --label dovesnap.faucet.mac_prefix=0e:99 busybox")
		g.Await("the MAC address of the label", "docker exec c2 cat /sys/class/net/eth0/address | grep ^0e:99:")
		g.Await("the ACL in force", `dovesnap status --json | jq -e '[.networks[].endpoints[] | select(.container == "c2") | .held] == [false]'`)
		g.Sh("! docker exec c2 ping -c 1 -W 1 172.12.0.1")
		g.Sh("docker exec c1 ping -c 1 -W 5 172.12.0.1")
		healthy(g)

		// A trunk: VLANs 10 and 20 reach the other container with their tags, 30 does
		// not, and the untagged one stays the network's.
		g.Sh(`for c in t1 t2; do
				docker run -td --name $c --network 'name=mynet,"driver-opt=ovs.port.trunks=10,20"' busybox
			done
			for c in t1 t2; do
				for vid in 10 20 30; do
					pid=$(docker inspect -f '{{.State.Pid}}' $c)
					nsenter -t $pid -n ip link add link eth0 name eth0.$vid type vlan id $vid
					nsenter -t $pid -n ip address add 192.0.2.${c#t}/24 dev eth0.$vid 2>/dev/null || true
					nsenter -t $pid -n ip link set eth0.$vid up
				done
			done`)
		g.Await("a ping on VLAN 10", "docker exec t1 ping -I eth0.10 -c 1 -W 1 192.0.2.2")
		g.Sh(`nsenter -t $(docker inspect -f '{{.State.Pid}}' t1) -n ip address flush dev eth0.10
			for c in t1 t2; do
				nsenter -t $(docker inspect -f '{{.State.Pid}}' $c) -n ip address flush dev eth0.10
				nsenter -t $(docker inspect -f '{{.State.Pid}}' $c) -n ip address add 198.51.100.${c#t}/24 dev eth0.30
			done`)
		g.Sh("! docker exec t1 ping -I eth0.30 -c 3 -W 1 198.51.100.2")
		g.Sh("docker exec t1 ping -c 1 -W 5 172.12.0.1; docker rm -f t1 t2")

		// After a reboot each has its own again.
		g.Sh("systemctl enable faucet") // the image leaves it disabled
		g.Reboot()
		g.Await("a ping to the gateway", "docker exec c1 ping -c 1 -W 1 172.12.0.1")
		g.Await("the ACL in force", `dovesnap status --json | jq -e '[.networks[].endpoints[] | select(.container == "c2") | .held] == [false]'`)
		g.Sh("! docker exec c2 ping -c 1 -W 1 172.12.0.1")
		healthy(g)
		g.Sh("docker rm -f c1 c2; docker network rm mynet")
		g.Await("the datapath to be withdrawn", "! grep mynet /etc/faucet/dovesnap.yaml")
	})
}

// TestRates limits what a container sends, and what it receives, on the kernel's
// datapath, within a tenth. An emulated machine holds low rates only.
func TestRates(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Installed(t, suite)
		create(g, "docker network create mynet -d ovs -o ovs.bridge.mode=nat --subnet 172.12.0.0/24 --gateway 172.12.0.1")
		g.Sh("docker run -d --name server --net mynet tools iperf3 -s")
		onKernel(g)
		for direction, flag := range map[string]string{"rate_out": "", "rate_in": "-R"} {
			for _, rate := range []struct {
				text string
				want float64
			}{{"2M", 2e6}, {"5M", 5e6}} {
				t.Run(direction+"="+rate.text, func(t *testing.T) {
					g := g.In(t)
					g.Sh(fmt.Sprintf("docker run -td --name client --network name=mynet,driver-opt=ovs.port.%s=%s tools", direction, rate.text))
					defer g.Sh("docker rm -f client")
					var result struct {
						End struct {
							Received struct {
								Rate float64 `json:"bits_per_second"`
							} `json:"sum_received"`
						}
					}
					// What iperf3 counts is without the frames' headers, 66 bytes of 1514.
					out := g.Sh(fmt.Sprintf("docker exec client iperf3 -J -O 3 -t 15 %s -c %s", flag, address(g, "server")))
					if err := json.Unmarshal([]byte(out), &result); err != nil {
						t.Fatal(err)
					}
					ratio := result.End.Received.Rate / rate.want
					t.Logf("%s=%s: %.2f of it", direction, rate.text, ratio)
					if ratio < 0.9 || ratio > 1.1 {
						t.Errorf("%s=%s: the rate is %.0f bit/s", direction, rate.text, result.End.Received.Rate)
					}
				})
			}
		}
		g.Sh("docker rm -f server; docker network rm mynet")
		g.Sh("test -z \"$(ovs-vsctl --bare --columns=_uuid list QoS; ovs-vsctl --bare --columns=_uuid list Queue)\"")
	})
}
