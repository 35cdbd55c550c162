// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dovesnap/e2e/host"
)

// takenYAML is an operator's faucet.yaml with a datapath, and a VLAN.
const takenYAML = operatorYAML + `vlans:
  "300": {vid: 301}
dps:
  rack1:
    dp_id: 0x77
    hardware: Open vSwitch
    interfaces: {1: {native_vlan: 100}}
`

// What Faucet could not have beside the operator's own is refused at once by docker,
// where docker says enough of it; what it cannot know then is reported by name.
func TestRefusedBesideTheOperators(t *testing.T) {
	eachManaged(t, takenYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("good", 12, "-o", "ovs.bridge.default_acl=open")
		s.reaches(s.container("one", "good"), "172.12.0.1")
		for _, c := range []struct {
			option string
			want   []string
		}{
			{"ovs.bridge.dpid=0x77", []string{"ovs.bridge.dpid", "0x77", `"rack1"`}},
			{"ovs.bridge.default_acl=nosuch", []string{"ovs.bridge.default_acl", "nosuch", "no-icmp"}},
			{"ovs.bridge.nat_acl=nosuch", []string{"ovs.bridge.nat_acl", "nosuch"}},
			{"ovs.bridge.vlan_out_acl=nosuch", []string{"ovs.bridge.vlan_out_acl", "nosuch"}},
			{"ovs.bridge.vlan=300", []string{"ovs.bridge.vlan", "300", "301"}},
		} {
			out, err := s.try("docker", "network", "create", "-d=ovs", "-o=ovs.bridge.mode=nat", "-o=ovs.bridge.controller=tcp:127.0.0.1:6653", "-o="+c.option, "refused")
			if err == nil {
				t.Errorf("%s: it is created: %s", c.option, out)
				s.docker("network", "rm", "refused")
				continue
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the message lacks %s: %v", c.option, want, err)
				}
			}
		}
		s.isWell()

		// A container whose ACL is not there is held, and comes through when it is.
		s.container("typo", "good", "--label=dovesnap.faucet.portacl=late")
		s.docker("run", "-td", "--name=typo2", on("good", "dovesnap.faucet.portacl=late"), "busybox")
		if said := s.says(`no ACL "late"`); !strings.Contains(said, "typo") || !strings.Contains(said, "typo2") {
			t.Errorf("the containers are not named:\n%s", said)
		}
		for _, box := range []string{"typo", "typo2"} {
			if s.pings(box, "172.12.0.1") == nil {
				t.Errorf("%s is let through, whose ACL is not there", box)
			}
		}
		s.reaches("one", "172.12.0.1")
		text, err := s.ReadFile(host.FaucetDir + "/faucet.yaml")
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Replace(text, "acls:\n", "acls:\n  late: [{rule: {actions: {allow: true}}}]\n", 1)
		if err := s.WriteFile(host.FaucetDir+"/faucet.yaml", text, 0o644); err != nil {
			t.Fatal(err)
		}
		s.reaches("typo", "172.12.0.1")
		s.reaches("typo2", "172.12.0.1")
		s.docker("rm", "-f", "typo", "typo2")

		// So is a network's name.
		s.createManaged("rack1", 13)
		s.says("datapath of that name")
		s.reaches("one", "172.12.0.1")
		s.docker("network", "rm", "rack1")
		s.isWell()

		// Its datapath id is taken while containers run, by one without ACLs.
		s.container("strict", "good", strictLabel)
		s.seenAs("strict")
		bridge := s.bridge()
		dpid := strings.Trim(s.run("ovs-vsctl", "--timeout=20", "get", "Bridge", bridge, "datapath_id"), `"`)
		text, err = s.ReadFile(host.FaucetDir + "/faucet.yaml")
		if err != nil {
			t.Fatal(err)
		}
		taken := strings.Replace(text, "dps:\n", "dps:\n  taker: {dp_id: 0x"+dpid+", hardware: Open vSwitch, interface_ranges: {1-99: {native_vlan: 100}}}\n", 1)
		if err := s.WriteFile(host.FaucetDir+"/faucet.yaml", taken, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := s.faucet.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.says("its datapath id")
		eventually(t, patience, "the containers to be held", func() error {
			if out, _ := s.try(host.Program, "status", "--json"); strings.Count(out, `"held": true`) != 2 {
				return errorOf(out)
			}
			return nil
		})
		if s.pings("strict", "172.12.0.1") == nil {
			t.Error("a container passes by somebody else's rules")
		}
		if err := s.WriteFile(host.FaucetDir+"/faucet.yaml", text, 0o644); err != nil {
			t.Fatal(err)
		}
		s.reaches("one", "172.12.0.1")
		s.seenAs("strict")
		if s.pings("strict", "172.12.0.1") == nil {
			t.Error("the ACL is not in force again")
		}
		s.isWell()
	})
}

// An operator's mistake is told of with Faucet's reason, harms nobody who is there,
// and what is owed is delivered when it is mended.
func TestFaucetRejects(t *testing.T) {
	eachManaged(t, operatorYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("net", 12, "-o", "ovs.bridge.default_acl=open")
		s.reaches(s.container("one", "net"), "172.12.0.1")
		s.isWell()
		good, err := s.ReadFile(host.FaucetDir + "/faucet.yaml")
		if err != nil {
			t.Fatal(err)
		}
		broken := strings.Replace(good, "acls:\n", "acls:\n  broken:\n    - rule: {actions: {teleport: true}}\n", 1)
		if err := s.WriteFile(host.FaucetDir+"/faucet.yaml", broken, 0o644); err != nil {
			t.Fatal(err)
		}
		s.container("strict", "net", strictLabel)
		s.says("teleport")
		if s.pings("strict", "172.12.0.1") == nil {
			t.Error("a container passes though its ACL cannot be in force")
		}
		s.reaches("one", "172.12.0.1")
		if s.mode != "file" { // what the server has changed since stays
			text, err := s.ReadFile(host.FaucetDir + "/faucet.yaml")
			if err != nil {
				t.Fatal(err)
			}
			good = strings.Replace(text, "teleport: true", "allow: true", 1)
		}
		if err := s.WriteFile(host.FaucetDir+"/faucet.yaml", good, 0o644); err != nil {
			t.Fatal(err)
		}
		s.seenAs("strict")
		if s.pings("strict", "172.12.0.1") == nil {
			t.Error("its ACL is not in force")
		}
		s.isWell()
	})
}
