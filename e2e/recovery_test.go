// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// A site is a host at work: dockerd, dovesnap, Faucet, and containers one and
// two of the main job.
type site struct {
	*testHost
	dockerd, dovesnap *host.Process
	faucet            *host.Faucet
	dockerdFlags      []string
	pristine, before  string   // snapshots before dovesnap and before the network
	allowed           []string // see nothingLeftSince
}

func newSite(t *testing.T, h *testHost, dockerdFlags ...string) *site {
	s := &site{testHost: h, dockerdFlags: dockerdFlags}
	s.dockerd = h.dockerd(dockerdFlags...)
	h.docker("run", "--rm", "busybox", "true")
	s.pristine = h.snapshot()
	s.dovesnap = h.dovesnap(quick...)
	s.faucet = h.faucet(faucetYAML)
	s.before = h.snapshot()
	h.run("sh", "-c", createMynet)
	h.container("one", "mynet", "--restart=always")
	h.container("two", "mynet", "--restart=always")
	h.reaches("one", "172.12.0.9")
	return s
}

// boots starts everything, in the order in which a machine does.
func (s *site) boots() {
	s.t.Helper()
	s.dovesnap = s.testHost.dovesnap(quick...)
	s.restartFaucet()
	s.dockerd = s.testHost.dockerd(s.dockerdFlags...)
}

// restartFaucet starts Faucet and waits until it has set up the switch. While it
// does that, Faucet 1.10.12 loses the news that a port came up, for good: a
// container that starts in those milliseconds stays cut off.
func (s *site) restartFaucet() {
	s.t.Helper()
	s.faucet = s.testHost.faucet(faucetYAML)
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := s.faucet.AwaitDP(ctx, "docker-ovs"); err != nil {
		s.t.Fatal(err)
	}
}

// quick makes dovesnap look more often than it needs to on a real host.
var quick = []string{"--sweep-grace=2s", "--reconcile-interval=1s"}

// ovsPID returns the process id that an Open vSwitch daemon wrote.
func (s *site) ovsPID(daemon string) string {
	s.t.Helper()
	return s.run("cat", "/run/openvswitch/"+daemon+".pid")
}

// replaced waits until another process than pid is the daemon.
func (s *site) replaced(daemon, pid string) {
	s.t.Helper()
	eventually(s.t, patience, daemon+" to be started again", func() error {
		now, err := s.try("cat", "/run/openvswitch/"+daemon+".pid")
		if err == nil && now == pid {
			err = fmt.Errorf("it is still process %s", pid)
		}
		return err
	})
}

// Whatever dies or is started again, in the middle of work: the containers that
// were there have their network, new ones start, and the end is clean.
func TestRecovery(t *testing.T) {
	liveRestore := []string{"--live-restore"}
	for _, test := range []struct {
		name  string
		flags []string
		event func(s *site)
	}{
		{"dovesnap killed", nil, func(s *site) {
			s.kill(s.dovesnap)
			s.dovesnap = s.testHost.dovesnap(quick...)
		}},
		{"dovesnap restarted", nil, func(s *site) {
			s.stop(s.dovesnap)
			s.dovesnap = s.testHost.dovesnap(quick...)
		}},
		{"ovs-vswitchd killed", nil, func(s *site) {
			pid := s.ovsPID("ovs-vswitchd")
			s.run("kill", "-9", pid)
			s.replaced("ovs-vswitchd", pid)
		}},
		{"ovsdb-server killed", nil, func(s *site) {
			pid, vswitchd := s.ovsPID("ovsdb-server"), s.ovsPID("ovs-vswitchd")
			s.run("kill", "-9", pid)
			s.replaced("ovsdb-server", pid)
			if now := s.ovsPID("ovs-vswitchd"); now != vswitchd {
				s.t.Errorf("ovs-vswitchd was %s and is %s: the database's end is not its", vswitchd, now)
			}
		}},
		{"all of dovesnap and Open vSwitch killed", nil, func(s *site) {
			s.kill(s.dovesnap)
			s.run("kill", "-9", s.ovsPID("ovs-vswitchd"), s.ovsPID("ovsdb-server"))
			s.dovesnap = s.testHost.dovesnap(quick...)
		}},
		{"dockerd restarted", nil, func(s *site) {
			s.stop(s.dockerd)
			s.dockerd = s.testHost.dockerd()
		}},
		{"dockerd killed", nil, func(s *site) {
			s.kill(s.dockerd)
			s.dockerd = s.testHost.dockerd()
		}},
		{"dockerd restarted, live-restore", liveRestore, func(s *site) {
			s.stop(s.dockerd)
			s.dockerd = s.testHost.dockerd(liveRestore...)
		}},
		{"dockerd killed, live-restore", liveRestore, func(s *site) {
			s.kill(s.dockerd)
			s.dockerd = s.testHost.dockerd(liveRestore...)
		}},
		{"dockerd and dovesnap killed", nil, func(s *site) {
			s.kill(s.dockerd)
			s.kill(s.dovesnap)
			s.dovesnap = s.testHost.dovesnap(quick...)
			s.dockerd = s.testHost.dockerd()
		}},
		{"Faucet killed", nil, func(s *site) {
			s.kill(s.faucet.Process)
			s.restartFaucet()
		}},
		{"power cut", nil, func(s *site) {
			s.powerCycle()
			s.boots()
		}},
		{"firewall flushed", nil, func(s *site) {
			s.allowed = []string{"docker0"} // Docker does not put its rules back
			s.run("iptables", "-F", "FORWARD")
			s.run("iptables", "-t", "nat", "-F", "POSTROUTING")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachSuite(t, func(t *testing.T, h *testHost) {
				s := newSite(t, h, test.flags...)
				test.event(s)
				s.works()
				s.ends()
			})
		})
	}
}

// works checks the containers that were there and a new one.
func (s *site) works() {
	s.t.Helper()
	s.reaches("one", "two")
	s.reaches("two", "172.12.0.1")
	s.container("three", "mynet")
	s.reaches("three", "one")
	for _, c := range []string{"one", "two", "three"} {
		if seen := s.seenAs(c); seen != host.HostAddress {
			s.t.Errorf("outside sees %s as %q, want %q", c, seen, host.HostAddress)
		}
	}
	s.withoutGatewayBridge("one", "two", "three")
}

// ends removes containers, network and then dovesnap, and expects the host as it
// was before each.
func (s *site) ends() {
	s.t.Helper()
	s.docker("rm", "-f", "one", "two", "three")
	s.docker("network", "rm", "mynet")
	// Docker's own: with live-restore it puts its jumps back in another order,
	// and docker0 has another MAC address after each boot.
	allowed := append(s.allowed, "-A FORWARD -j DOCKER-", "docker0: mtu")
	// A copy of the database is kept when it was not closed properly.
	s.nothingLeftSince(s.before, append(allowed, "/conf.db.backup-")...)
	s.kill(s.faucet.Process)
	s.stop(s.dovesnap)
	s.run(host.Program, "cleanup")
	s.nothingLeftSince(s.pristine, allowed...)
}

// Established traffic does not notice that dovesnap is killed and comes back.
func TestTrafficOutlivesDovesnap(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		s := newSite(t, h)
		ping, err := h.Start("ping", "docker", "exec", "one", "ping", "-i", "0.05", "-c", "100", "172.12.0.9")
		if err != nil {
			t.Fatal(err)
		}
		s.kill(s.dovesnap)
		s.dovesnap = h.dovesnap(quick...)
		s.stop(s.dovesnap)
		s.dovesnap = h.dovesnap(quick...)
		if err := ping.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if said := ping.Logged(); !strings.Contains(said, " 0% packet loss") {
			t.Error(said)
		}
	})
}

// What Docker removed while dovesnap was away is swept when it is back.
func TestRemovedMeanwhile(t *testing.T) {
	h := newHost(t, host.Suites[1])
	s := newSite(t, h)
	s.kill(s.dovesnap)
	// Docker waits 15 s for each of the two calls that nobody answers.
	h.docker("rm", "-f", "two")
	s.dovesnap = h.dovesnap(quick...)
	eventually(t, patience, "the stale port to be swept", func() error {
		ports, err := h.try("ovs-vsctl", "--timeout=20", "list-ports", h.bridge())
		if n := len(strings.Fields(ports)); err == nil && n != 1 {
			err = fmt.Errorf("the bridge has %d ports, want 1", n)
		}
		return err
	})
	h.container("two", "mynet")
	s.works()
	s.ends()
}

// An Open vSwitch that somebody else runs is used and left alone.
func TestAttach(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		if _, err := h.StartOpenVSwitch(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.run("ovs-vsctl", "--timeout=20", "add-br", "theirs", "--", "set", "Bridge", "theirs", "datapath_type=netdev")
		s := newSite(t, h)
		s.kill(s.dovesnap)
		s.dovesnap = h.dovesnap(quick...)
		s.works()
		s.ends()
	})
}
