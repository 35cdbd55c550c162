// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"dovesnap/e2e/host"
)

// A published port is open from docker run to docker rm, whatever happens between,
// and then it is anybody's.
func TestPublishedLife(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.server("web", "net", "-p", "8080:80", "--restart=always")
		p.open(8080)
		for _, step := range []struct {
			name string
			do   func()
			open bool
		}{
			{"stopped", func() { p.docker("stop", "-t0", "web") }, false},
			{"started", func() { p.docker("start", "web") }, true},
			{"restarted", func() { p.docker("restart", "-t0", "web") }, true},
			{"disconnected", func() { p.docker("network", "disconnect", "net", "web") }, false},
			{"connected", func() { p.docker("network", "connect", "net", "web") }, true},
			{"dovesnap killed", func() { p.kill(p.dovesnap) }, true},
			{"dovesnap started", func() { p.dovesnap = p.quickly() }, true},
			{"stopped by an heir", func() { p.docker("stop", "-t0", "web") }, false},
			{"started by an heir", func() { p.docker("start", "web") }, true},
			{"dockerd stopped", func() { p.stop(p.dockerd) }, false},
			{"dockerd started", func() { p.dockerd = p.testHost.dockerd() }, true},
			{"dockerd killed", func() { p.kill(p.dockerd); p.dockerd = p.testHost.dockerd() }, true},
			{"power cut", func() { p.powerCycle(); p.dovesnap = p.quickly(); p.dockerd = p.testHost.dockerd() }, true},
			{"removed", func() { p.docker("rm", "-f", "web") }, false},
		} {
			t.Log(step.name)
			step.do()
			if step.open {
				p.open(8080)
				if rules := p.rulesOf(8080); len(rules) != 1 {
					t.Errorf("%s: rules to %q", step.name, rules)
				}
			} else {
				p.shut(8080)
			}
		}
		// A boot: docker0 has another MAC, the database a backup.
		p.allowed = []string{"docker0: mtu", "conf.db.backup-"}
		p.ends()
	})
}

// With live-restore containers outlive dockerd, and so do their ports.
func TestPublishedLiveRestore(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		const flag = "--live-restore"
		p := newPublished(t, h, flag)
		p.server("web", "net", "-p", "8080:80")
		for _, end := range []func(*host.Process){p.stop, p.kill} {
			end(p.dockerd)
			p.open(8080)
			p.dockerd = p.testHost.dockerd(flag)
			p.open(8080)
			if rules := p.rulesOf(8080); len(rules) != 1 {
				t.Errorf("rules to %q", rules)
			}
		}
		p.docker("stop", "-t0", "web")
		p.shut(8080)
		p.allowed = []string{"-A FORWARD -j DOCKER-"} // which Docker has in another order now
		p.ends("web")
	})
}
