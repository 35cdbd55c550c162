// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"dovesnap/e2e/host"
)

const strictLabel = "--label=dovesnap.faucet.portacl=no-icmp"

// Each party goes in the middle: what a container may do is the same afterwards, and
// nothing passes meanwhile that should not.
func TestManagedThroughRestarts(t *testing.T) {
	eachManaged(t, operatorYAML, func(t *testing.T, s *managedSite) {
		s.createManaged("net", 12, "-o", "ovs.bridge.default_acl=open")
		s.container("one", "net", "--restart=always")
		s.container("strict", "net", "--restart=always", strictLabel)
		s.lawful("at first")
		for _, party := range s.parties() {
			t.Log(party.name)
			party.goes()
			if party.meanwhile != nil {
				party.meanwhile()
			}
			party.returns()
			s.lawful(party.name)
			s.newcomers(party.name)
		}
		s.docker("restart", "-t0", "one", "strict")
		s.lawful("containers started again")
		s.isWell()
	})
}

// A party is one whose end, or silence, the others survive.
type party struct {
	name                     string
	goes, meanwhile, returns func()
}

func (s *managedSite) parties() []party {
	again := func(daemon string) func() { // dovesnap starts it again
		var pid string
		site := &site{testHost: s.testHost}
		return func() {
			pid = site.ovsPID(daemon)
			s.run("kill", "-9", pid)
			site.replaced(daemon, pid)
		}
	}
	nothing := func() {}
	all := []party{
		{"Faucet killed", func() { s.kill(s.faucet.Process) }, s.changes, func() { s.startFaucet("") }},
		{"Faucet hangs", func() { s.signal(s.faucet.Process, unix.SIGSTOP) }, s.changes, func() { s.signal(s.faucet.Process, unix.SIGCONT) }},
		{"dovesnap killed", func() { s.kill(s.daemon) }, nil, s.startDaemon},
		{"dockerd killed", func() { s.kill(s.dockerd) }, nil, s.startDocker},
		{"ovs-vswitchd killed", again("ovs-vswitchd"), nil, nothing},
		{"ovsdb-server killed", again("ovsdb-server"), nil, nothing},
	}
	if s.mode != "file" {
		all = append(all,
			party{"faucetconfrpc killed", func() { s.kill(s.server) }, s.changes, s.startServer},
			party{"faucetconfrpc hangs", func() { s.signal(s.server, unix.SIGSTOP) }, s.changes, func() { s.signal(s.server, unix.SIGCONT) }})
	}
	return all
}

// changes are what nobody has to wait for, and what is to be made up for: somebody is
// held, and dovesnap itself is killed, too.
func (s *managedSite) changes() {
	s.t.Helper()
	s.lawful("meanwhile")
	s.container("late", "net", strictLabel)
	s.container("gone", "net", strictLabel)
	s.docker("rm", "-f", "gone")
	s.createManaged("vanished", 13)
	s.docker("network", "rm", "vanished")
	s.createManaged("later", 14)
	if !s.isHeld() {
		s.t.Error("nobody is held until Faucet knows the ACL")
	}
	s.kill(s.daemon)
	s.startDaemon()
	if !s.isHeld() {
		s.t.Error("nobody is held after a restart of dovesnap")
	}
}

// lawful checks those who are there.
func (s *managedSite) lawful(when string) {
	s.t.Helper()
	s.reaches("one", "172.12.0.1")
	s.seenAs("strict")
	if s.pings("strict", "172.12.0.1") == nil {
		s.t.Errorf("%s: the ACL is not in force", when)
	}
}

// newcomers checks those who come afterwards, or came meanwhile, and that what was is
// not in force for ever.
func (s *managedSite) newcomers(when string) {
	s.t.Helper()
	if s.docker("ps", "-aq", "--filter=name=late") == "" {
		s.container("late", "net", strictLabel)
	}
	s.seenAs("late")
	if s.pings("late", "172.12.0.1") == nil {
		s.t.Errorf("%s: the ACL of a new container is not in force", when)
	}
	port := s.ofport("late")
	s.docker("rm", "-f", "late")
	const plain = "plain"
	s.docker("run", "-td", "--name="+plain, on("net", "ovs.port.ofport="+port), "busybox")
	s.reaches(plain, "172.12.0.1")
	s.docker("rm", "-f", plain)
	if s.docker("network", "ls", "-q", "--filter=name=later") != "" {
		s.reaches(s.container("first", "later"), "172.14.0.1")
		s.docker("rm", "-f", "first")
		s.docker("network", "rm", "later")
	}
	s.isTold([]string{"net"}, "vanished", "later")
}

func (s *managedSite) signal(p *host.Process, sig os.Signal) {
	s.t.Helper()
	if err := p.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
