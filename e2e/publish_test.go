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
	before            string   // the snapshot before the network
	allowed           []string // see nothingLeftSince
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
	p.nothingLeftSince(p.before, append(p.allowed, savedFlows)...)
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
