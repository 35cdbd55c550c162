// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// A container that knows the MAC address of its link's other end still does not
// get around the switch: nothing that Faucet did not allow reaches the host, or
// the outside through it.
func TestNoWayAroundTheSwitch(t *testing.T) {
	h := newHost(t, host.Suites[1])
	h.ready()
	h.dovesnap()
	h.run("sh", "-c", createMynet) // its controller does not run: the bridge passes nothing
	one := h.container("one", "mynet")
	link := ""
	for _, port := range strings.Fields(h.run("ovs-vsctl", "--timeout=20", "list-ports", h.bridge())) {
		if strings.HasPrefix(port, "dsv") {
			link = port
		}
	}
	mac := h.run("cat", "/sys/class/net/"+link+"/address")
	pid := h.docker("inspect", "-f", "{{.State.Pid}}", one)
	h.run("nsenter", "-t", pid, "-n", "ip", "neigh", "add", "172.12.0.1", "lladdr", mac, "dev", "eth0")
	for _, address := range []string{"172.12.0.1", host.OutsideAddress} {
		if h.pings(one, address) == nil {
			t.Errorf("%s answers a container whose switch passes nothing", address)
		}
	}
	if seen, err := h.exec(one, "nc", "-w2", host.OutsideAddress, "80"); err == nil {
		t.Errorf("the outside was reached, as %q", seen)
	}
}

// Open vSwitch's database is gone while containers run, and so is dovesnap's
// memory: Docker and the links remember enough.
func TestDatabaseLost(t *testing.T) {
	const lose = "kill -9 $(cat /run/openvswitch/ovs-vswitchd.pid /run/openvswitch/ovsdb-server.pid) && rm -f $(readlink -f /etc/openvswitch/conf.db)*"
	for name, event := range map[string]func(s *site){
		"with dovesnap running": func(s *site) {
			s.run("sh", "-c", lose)
		},
		"with dovesnap killed": func(s *site) {
			s.kill(s.dovesnap)
			s.run("sh", "-c", lose)
			s.dovesnap = s.testHost.dovesnap(quick...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, newHost(t, host.Suites[1]))
			two := s.ofport("two")
			s.docker("rm", "-f", "one") // so that numbers given anew would differ
			event(s)
			s.reaches("two", "172.12.0.1")
			if now := s.ofport("two"); now != two {
				t.Errorf("OpenFlow port %s, was %s", now, two)
			}
			s.container("one", "mynet")
			s.works()
			s.ends()
		})
	}
}
