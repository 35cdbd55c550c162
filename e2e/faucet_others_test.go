// SPDX-License-Identifier: Apache-2.0

package e2e

import "testing"

// Ports that somebody else puts on a bridge of ours are Faucet's to know, with the
// network's VLAN, as long as they are there.
func TestPortsOfOthers(t *testing.T) {
	eachManaged(t, operatorYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("net", 12, "-o", "ovs.bridge.vlan=150")
		bridge := s.bridge()
		vsctl := func(args ...string) { s.run(append([]string{"ovs-vsctl", "--timeout=20"}, args...)...) }
		one := s.container("one", "net")
		s.reaches(one, "172.12.0.1")
		// A machine of its own, and another behind a bridge that is not ours.
		s.machine("tap0", "172.12.0.99")
		s.run("ip", "link", "set", "tap0", "up")
		vsctl("add-port", bridge, "tap0", "--", "set", "Interface", "tap0", "ofport_request=200")
		s.machine("far0", "172.12.0.98")
		s.run("ip", "link", "set", "far0", "up")
		vsctl("add-br", "beyond", "--", "set", "Bridge", "beyond", "datapath_type=netdev", "--", "add-port", "beyond", "far0",
			"--", "add-port", "beyond", "back0", "--", "set", "Interface", "back0", "type=patch", "options:peer=there0",
			"--", "add-port", bridge, "there0", "--", "set", "Interface", "there0", "type=patch", "options:peer=back0")
		s.reaches(one, "172.12.0.99")
		s.reaches(one, "172.12.0.98")
		s.isTold([]string{"Physical interface tap0", "Physical interface there0"}, "far0", "back0")

		// Ports without a link of that name here do no harm.
		vsctl("add-port", bridge, "vx0", "--", "set", "Interface", "vx0", "type=vxlan", "options:remote_ip=127.0.0.2")
		vsctl("add-port", bridge, "in0", "--", "set", "Interface", "in0", "type=internal")
		s.run("sh", "-c", "ip netns add elsewhere && ip link set in0 netns elsewhere")
		s.isTold([]string{"Physical interface vx0", "Physical interface in0"})

		// Some come and go while dovesnap is away, others stay.
		s.stop(s.daemon)
		vsctl("del-port", bridge, "vx0")
		vsctl("add-port", bridge, "vx1", "--", "set", "Interface", "vx1", "type=vxlan", "options:remote_ip=127.0.0.3")
		s.startDaemon()
		s.isTold([]string{"Physical interface vx1", "Physical interface in0", "Physical interface tap0", "Physical interface there0"}, "vx0")
		s.reaches(one, "172.12.0.99")
		s.reaches(one, "172.12.0.98")

		for _, port := range []string{"tap0", "vx1", "in0", "there0"} {
			vsctl("del-port", bridge, port)
		}
		s.isTold(nil, "Physical interface")
		if s.pings(one, "172.12.0.98") == nil {
			t.Error("it is reached by a port that is gone")
		}
		s.reaches(one, "172.12.0.1")
		s.isWell()
		vsctl("del-br", "beyond")
		s.docker("rm", "-f", one)
		s.docker("network", "rm", "net")
		s.isTold(nil, "dp_id")
	})
}
