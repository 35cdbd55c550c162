// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// What people's compose files and scripts have said since 2020, under both names of
// the driver: flags that used to be needed, every option that has a meaning, and
// labels with expressions.
func TestVocabulary(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.managed("file", operatorYAML+"  lab-only: [{rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}}, {rule: {actions: {allow: true}}}]\n")
		for i, driver := range []string{"ovs", "dovesnap"} {
			name, subnet := "lab-"+driver, 20+i
			h.docker("network", "create", "-d", driver, "--internal", "--subnet", fmt.Sprintf("172.%d.0.0/24", subnet), "--gateway", fmt.Sprintf("172.%d.0.1", subnet),
				"-o", "ovs.bridge.mode=nat", "-o", fmt.Sprintf("ovs.bridge.dpid=0x%d", subnet), "-o", "ovs.bridge.controller=tcp:127.0.0.1:6653,tcp:127.0.0.1:6654",
				"-o", "ovs.bridge.vlan="+fmt.Sprint(100+i), "-o", "ovs.bridge.mtu=1400", "-o", "ovs.bridge.preallocate_ports=15", "-o", "ovs.bridge.userspace=true",
				"-o", "ovs.bridge.nat_acl=open", "-o", "ovs.bridge.default_acl=open/other:nothing", "-o", "ovs.bridge.ovs_local_mac=0e:01:00:00:00:0"+fmt.Sprint(i), name)
			one := h.container("one"+driver, name)
			h.reaches(one, fmt.Sprintf("172.%d.0.1", subnet))
			h.seenAs(one)

			// An expression: this network's ACL, not the other's, and the default where
			// it says nothing of this one.
			own := h.container("own"+driver, name, "--label=dovesnap.faucet.portacl=open/"+name+":lab-only")
			h.seenAs(own)
			if h.pings(own, fmt.Sprintf("172.%d.0.1", subnet)) == nil {
				t.Errorf("%s: the ACL of this network is not in force", name)
			}
			other := h.container("other"+driver, name, "--label=dovesnap.faucet.portacl=elsewhere:nothing", "--label=dovesnap.faucet.mac_prefix=0e:99")
			h.reaches(other, fmt.Sprintf("172.%d.0.1", subnet))
			eventually(t, patience, "the MAC prefix", func() error {
				if mac := h.mac(other); !strings.HasPrefix(mac, "0e:99:") {
					return fmt.Errorf("it is %s", mac)
				}
				return nil
			})
			if mtu := h.docker("exec", other, "cat", "/sys/class/net/eth0/mtu"); mtu != "1400" {
				t.Errorf("MTU %s", mtu)
			}
		}
	})
}

// A container on two networks, in either order, and one that is connected while it
// runs: each of its ports has the ACL of its network.
func TestLabelOnSeveralNetworks(t *testing.T) {
	eachManaged(t, operatorYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("a", 31, "-o", "ovs.bridge.default_acl=open")
		s.createManaged("b", 32, "-o", "ovs.bridge.default_acl=open")
		check := func(box, what string) {
			t.Helper()
			s.reaches(box, "172.31.0.1")
			eventually(t, patience, "nobody to be held", func() error {
				if out, _ := s.try(host.Program, "status", "--json"); !strings.Contains(out, `"held": false`) || strings.Contains(out, `"held": true`) {
					return fmt.Errorf("somebody is: %s", out)
				}
				return nil
			})
			if s.pings(box, "172.32.0.1") == nil {
				t.Errorf("%s: the ACL on b is not in force", what)
			}
		}
		label := "--label=dovesnap.faucet.portacl=open/b:nothing"
		one := s.container("one", "a", label)
		s.docker("network", "connect", "b", one)
		check(one, "connected while it runs")
		s.docker("restart", "-t0", one)
		check(one, "restarted")
		s.docker("network", "disconnect", "a", one)
		s.docker("network", "connect", "a", one)
		check(one, "in another order")
		two := s.container("two", "b", label)
		s.docker("network", "connect", "a", two)
		check(two, "the other way round")
	})
}
