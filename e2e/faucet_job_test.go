// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// operatorYAML is an operator's faucet.yaml that has ACLs and no datapath.
const operatorYAML = `# The operator's own.
acls:
  open: # all of it
    - rule: {actions: {allow: true}}
  no-icmp:
    - rule: {dl_type: 0x800, ip_proto: 1, actions: {allow: false}}
    - rule: {actions: {allow: true}}
  nothing:
    - rule: {actions: {allow: false}}
`

// TestManaged is the job where nothing is written by hand but ACLs.
func TestManaged(t *testing.T) {
	eachManaged(t, operatorYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("123", 12, "-o", "ovs.bridge.dpid=0x1", "-o", "ovs.bridge.default_acl=open")
		one, two := s.container("one", "123"), s.container("two", "123")
		s.reaches(one, "172.12.0.1")
		s.reaches(one, "172.12.0.3")
		if seen := s.seenAs(two); seen != host.HostAddress {
			t.Errorf("outside sees %q", seen)
		}
		strict := s.container("strict", "123", "--label=dovesnap.faucet.portacl=no-icmp")
		s.seenAs(strict) // it has its network
		if s.pings(strict, "172.12.0.1") == nil {
			t.Error("a container's own ACL is not in force")
		}
		s.reaches(one, "172.12.0.3")
		s.docker("rm", "-f", strict)
		again := s.container("again", "123")
		s.reaches(again, "172.12.0.1") // whatever was in force on that port

		if s.mode == "file" { // the operator's has one line more
			text, err := s.ReadFile(host.FaucetDir + "/faucet.yaml")
			if err != nil || !strings.HasPrefix(text, operatorYAML) || strings.Count(strings.TrimPrefix(text, operatorYAML), "\n") > 3 {
				t.Errorf("the operator's file: %v\n%s", err, text)
			}
		}
		s.isWell()
		told, written := s.told(), s.written()
		s.stop(s.daemon)
		s.startDaemon()
		s.reaches(one, "172.12.0.3")
		plain := s.container("plain", "123")
		s.reaches(plain, "172.12.0.1")
		s.docker("rm", "-f", plain)
		s.isWell()
		if now := s.told(); s.written() != written || now != told {
			t.Errorf("a restart and a container without labels wrote\n%s\nagain, as\n%s", told, now)
		}
		s.docker("rm", "-f", one, two, again)
		s.docker("network", "rm", "123")
		s.isTold(nil, "123")
	})
}

// written tells one writing of what Faucet is told from another.
func (s *managedSite) written() string { return s.run("stat", "-c%i %y", s.toldIn()) }
