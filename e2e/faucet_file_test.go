// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
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

// managed are the flags of a daemon that writes Faucet's file and sends it a HUP.
var managed = []string{"--faucet-mode=file", "--faucet-reload=pidfile:" + host.FaucetPIDFile}

// faucetFile starts Faucet with the operator's file, and a dovesnap that manages
// one beside it.
func (h *testHost) faucetFile(config string) (*host.Faucet, *host.Process) {
	h.t.Helper()
	f := h.faucet(config)
	path := must[string](h.t)(binary())
	if err := h.Install(path, host.Program); err != nil {
		h.t.Fatal(err)
	}
	h.run(host.Program, "faucet", "init")
	return f, h.dovesnap(managed...)
}

// ourYAML is the file that dovesnap writes.
func (h *testHost) ourYAML() string {
	text, _ := h.ReadFile(host.FaucetDir + "/dovesnap.yaml")
	return text
}

// createManaged makes a network whose Faucet dovesnap configures.
func (h *testHost) createManaged(name string, subnet int, more ...string) {
	h.t.Helper()
	args := append([]string{"network", "create", "-d", "ovs", "-o", "ovs.bridge.mode=nat", "-o", "ovs.bridge.controller=tcp:127.0.0.1:6653",
		fmt.Sprintf("--subnet=172.%d.0.0/24", subnet), fmt.Sprintf("--gateway=172.%d.0.1", subnet)}, more...)
	h.docker(append(args, name)...)
}

// TestFaucetFile is the job in mode file: nothing is written by hand but ACLs.
func TestFaucetFile(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		_, daemon := h.faucetFile(operatorYAML)
		h.createManaged("123", 12, "-o", "ovs.bridge.dpid=0x1", "-o", "ovs.bridge.default_acl=open")
		one, two := h.container("one", "123"), h.container("two", "123")
		h.reaches(one, "172.12.0.1")
		h.reaches(one, "172.12.0.3")
		if seen := h.seenAs(two); seen != host.HostAddress {
			t.Errorf("outside sees %q", seen)
		}
		strict := h.container("strict", "123", "--label=dovesnap.faucet.portacl=no-icmp")
		h.seenAs(strict) // it has its network
		if h.pings(strict, "172.12.0.1") == nil {
			t.Error("a container's own ACL is not in force")
		}
		h.reaches(one, "172.12.0.3")
		h.docker("rm", "-f", strict)
		again := h.container("again", "123")
		h.reaches(again, "172.12.0.1") // whatever was in force on that port

		// The operator's file has one line more.
		text, err := h.ReadFile(host.FaucetDir + "/faucet.yaml")
		if err != nil || !strings.HasPrefix(text, operatorYAML) || strings.Count(strings.TrimPrefix(text, operatorYAML), "\n") > 3 {
			t.Errorf("the operator's file: %v\n%s", err, text)
		}
		h.stop(daemon)
		written := h.ourYAML()
		h.dovesnap(managed...)
		h.reaches(one, "172.12.0.3")
		if now := h.ourYAML(); now != written {
			t.Errorf("a restart changed the file:\n%s\nnow:\n%s", written, now)
		}
		h.docker("rm", "-f", one, two, again)
		h.docker("network", "rm", "123")
		eventually(t, patience, "the datapath to be withdrawn", func() error {
			if text := h.ourYAML(); strings.Contains(text, "123") {
				return fmt.Errorf("it has %s", text)
			}
			return nil
		})
	})
}

// No packet of a container passes under a laxer ACL than its own, a hundred starts
// in a row, and with the one that a driver-opt names.
func TestNothingPassesBeforeItsACL(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Suites[0])
	h.ready()
	h.faucetFile(operatorYAML)
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
