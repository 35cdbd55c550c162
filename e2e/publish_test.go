// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// published is a host at work whose network "net" publishes ports.
type published struct {
	*testHost
	dockerd, dovesnap *host.Process
	before            string // the snapshot before the network
}

const createNet = "network create net -d ovs -o ovs.bridge.mode=nat --subnet 172.20.1.0/24 --gateway 172.20.1.1"

func newPublished(t *testing.T, h *testHost, dockerdFlags ...string) *published {
	p := &published{testHost: h}
	if err := h.Install(must[string](t)(peerBinary()), peerPath); err != nil {
		t.Fatal(err)
	}
	p.dockerd = h.warmDockerd(dockerdFlags...)
	p.dovesnap = h.quickly()
	p.before = h.snapshot()
	h.docker(strings.Fields(createNet)...)
	return p
}

// warmDockerd starts dockerd and has it do once what leaves traces of its own.
func (h *testHost) warmDockerd(flags ...string) *host.Process {
	h.t.Helper()
	p := h.dockerd(flags...)
	h.docker("run", "--rm", "busybox", "true")
	return p
}

// quickly starts a dovesnap that looks more often than it needs to.
func (h *testHost) quickly() *host.Process { return h.dovesnap(quick...) }

// ends removes everything and expects no trace.
func (p *published) ends(containers ...string) {
	p.t.Helper()
	for _, c := range containers {
		p.docker("rm", "-f", c)
	}
	p.docker("network", "rm", "net")
	p.nothingLeftSince(p.before)
}

// open waits until the outside reaches a port of the host under its own address.
func (h *testHost) open(port uint16) {
	h.t.Helper()
	eventually(h.t, patience, fmt.Sprintf("the outside to reach port %d", port), func() error {
		seen, err := h.outside(peerPath, "ask", "tcp", netip.AddrPortFrom(netip.MustParseAddr(host.HostAddress), port).String())
		if err == nil && seen != host.OutsideAddress {
			err = fmt.Errorf("the container sees %s", seen)
		}
		return err
	})
}

// shut waits until nobody has the port any more: no rule leads from it, and a
// program can take it.
func (h *testHost) shut(port uint16) {
	h.t.Helper()
	eventually(h.t, patience, fmt.Sprintf("port %d to be free", port), func() error {
		if rules := h.rulesOf(port); len(rules) > 0 {
			return fmt.Errorf("rules: %q", rules)
		}
		if held, err := h.try("ss", "-Htuan", fmt.Sprintf("sport = %d", port)); err != nil || strings.Contains(held, "UNCONN") {
			return errors.Join(errors.New(held), err)
		}
		return nil
	})
}

// rulesOf returns the targets of the rules that redirect a port.
func (h *testHost) rulesOf(port uint16) (to []string) {
	h.t.Helper()
	for _, m := range redirects.FindAllStringSubmatch(h.run("iptables-save", "-t", "nat"), -1) {
		if m[1] == fmt.Sprint(port) {
			to = append(to, m[2])
		}
	}
	return to
}

var redirects = regexp.MustCompile(`-A DOVESNAP-P-\S+ .*--dport (\d+) .*--to-destination (\S+)`)

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
		p.ends("web")
	})
}

// What goes while dovesnap is dead is swept by its heir.
func TestPublishedGoneMeanwhile(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.server("web", "net", "-p", "8080:80", "-p", "8080:80/udp")
		p.open(8080)
		p.kill(p.dovesnap)
		_, _ = p.try("docker", "rm", "-f", "web") // Docker's error does not keep it from doing it
		p.dovesnap = p.quickly()
		p.shut(8080)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		p.ends("web")
	})
}

// On two networks, the one whose gateway the container has publishes; when that
// goes the other takes over.
func TestPublishedOnTwoNetworks(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		h.docker(strings.Fields("network create other -d ovs -o ovs.bridge.mode=nat --subnet 172.20.2.0/24 --gateway 172.20.2.1")...)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		for _, step := range []string{"connect other", "disconnect net", "connect net", "disconnect other"} {
			verb, network, _ := strings.Cut(step, " ")
			t.Log(step)
			p.docker("network", verb, network, "web")
			p.open(8080)
			if rules := p.rulesOf(8080); len(rules) != 1 {
				t.Errorf("after %s: rules to %q", step, rules)
			}
		}
		p.docker("rm", "-f", "web")
		p.docker("network", "rm", "other")
		p.ends()
	})
}

// Old compose files pass --internal to a nat network, and publish ports.
func TestPublishedOnInternal(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.docker("network", "rm", "net")
		p.docker(append(strings.Fields(createNet), "--internal")...)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		p.docker("restart", "-t0", "web")
		p.open(8080)
		p.docker("stop", "-t0", "web")
		p.shut(8080)
		p.ends("web")
	})
}
