// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
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
func (s *managedSite) written() string {
	name := map[string]string{"file": "dovesnap.yaml", "rpc": "faucet.yaml"}
	return s.run("stat", "-c%i %y", host.FaucetDir+"/"+name[s.mode])
}

// No packet of a container passes under a laxer ACL than its own, a hundred starts
// in a row, and with the one that a driver-opt names.
func TestNothingPassesBeforeItsACL(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Suites[0])
	h.managed("file", operatorYAML)
	h.createManaged("net", 12, "-o", "ovs.bridge.default_acl=open")
	one := h.container("one", "net")
	h.reaches(one, "172.12.0.1")
	from := h.container("from", "net") // its rules are the default's as well
	h.reaches(from, "172.12.0.1")

	// What reaches the host from the address that the containers below have.
	address := h.docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", from)
	h.docker("rm", "-f", from)
	h.run("iptables", "-t", "raw", "-I", "PREROUTING", "-s", address, "-j", "ACCEPT")
	passed := func() int {
		for _, line := range strings.Split(h.run("iptables", "-t", "raw", "-nvxL", "PREROUTING"), "\n") {
			if strings.Contains(line, address) {
				return must[int](t)(strconv.Atoi(strings.Fields(line)[0]))
			}
		}
		t.Fatal("the counter is gone")
		return 0
	}
	_, _ = h.try("docker", "run", "--rm", "--net=net", "--ip="+address, "busybox", "ping", "-c1", "-W5", "172.12.0.1")
	if passed() == 0 {
		t.Fatal("the counter counts nothing")
	}
	before := passed()
	for i := range 100 {
		how := []string{"--net=net", "--label=dovesnap.faucet.portacl=other:open/nothing"}
		if i%10 == 9 {
			how = []string{"--network=name=net,ip=" + address + ",driver-opt=dovesnap.faucet.portacl=nothing"}
		} else {
			how = append(how, "--ip="+address)
		}
		args := append(append([]string{"docker", "run", "--rm"}, how...), "busybox", "ping", "-c6", "-i0.02", "-W1", "172.12.0.1")
		if out, err := h.try(args...); err == nil {
			t.Fatalf("start %d: the gateway answers: %s", i, out)
		}
		if now := passed(); now != before {
			t.Fatalf("start %d: %d packets passed", i, now-before)
		}
		if i%20 == 19 { // and with the default on that port in between
			_, _ = h.try("docker", "run", "--rm", "--net=net", "--ip="+address, "busybox", "ping", "-c1", "-W5", "172.12.0.1")
			before = passed()
		}
	}
}
