// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dovesnap/e2e/host"
)

// docker29 is a host of the newest suite with a dockerd of Docker 29.
func docker29(t *testing.T) *testHost {
	h := newHost(t, host.Suites[2])
	path := must[string](t)(host.Dockerd29(h.ctx, host.CacheDir(), os.Stderr))
	if err := h.Install(path, h.run("which", "dockerd")); err != nil {
		t.Fatal(err)
	}
	h.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1") // Docker's nftables wants them
	return h
}

// Docker 29, which is in no suite yet, with each of its firewalls: with nftables it
// has no chain DOCKER-USER, and tables of its own.
func TestDocker29(t *testing.T) {
	for _, backend := range []string{"iptables", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			h := docker29(t)
			h.installPeer()
			flags := []string{"--firewall-backend=" + backend}
			s := &site{testHost: h, dockerdFlags: flags}
			s.dockerd = h.dockerd(flags...)
			h.docker("run", "--rm", "busybox", "true")
			if its := strings.Contains(h.run("nft", "list", "tables"), "docker-bridges"); its != (backend == "nftables") {
				t.Fatalf("Docker has tables of its own: %v", its)
			}
			s.pristine = h.snapshot()
			s.dovesnap = h.dovesnap(quick...)
			before := h.snapshot()

			h.serveTable(publishers[0].create)
			h.docker("network", "create", "theirs", "--subnet=172.20.3.0/24")
			h.server("bridged", "theirs", "-p", "8090:80")
			check := func(when string) {
				t.Helper()
				t.Log(when)
				h.serves("web")
				h.reachedFromEverywhere(h.table(8080))
				if seen := h.seenAs("web"); seen != host.HostAddress {
					t.Errorf("%s: outside sees %q", when, seen)
				}
				if h.pings("web", "172.20.3.2") == nil || h.pings("bridged", h.addresses("web")[0]) == nil {
					t.Errorf("%s: a network of ours and one of Docker's reach each other", when)
				}
				if out, err := h.outside(peerPath, "ask", "tcp", host.HostAddress+":8090"); err != nil {
					t.Errorf("%s: Docker's own port is not reached: %s, %v", when, out, err)
				}
			}
			check("at first")
			h.docker("update", "--restart=always", "web", "near", "far", "bridged")
			s.kill(s.dockerd)
			s.dockerd = h.dockerd(flags...)
			check("dockerd was killed")
			s.stop(s.dovesnap)
			s.dovesnap = h.dovesnap(quick...)
			check("another dovesnap")

			ours := h.ours()
			h.run("nft", "flush", "ruleset")
			eventually(t, patience, "our rules to be back", func() error {
				if diff := cmp.Diff(ours, h.ours()); diff != "" {
					return errorOf(diff)
				}
				return nil
			})
			h.reachedFromEverywhere(h.table(8080))
			s.stop(s.dockerd) // which puts its own rules back when it starts
			s.dockerd = h.dockerd(flags...)
			check("dockerd was started again")

			h.docker("rm", "-f", "web", "near", "far", "bridged")
			h.docker("network", "rm", "net", "other", "theirs")
			h.nothingLeftSince(before, "DOCKER", "docker", savedFlows)
			s.stop(s.dovesnap)
			h.run(host.Program, "cleanup")
			h.nothingLeftSince(s.pristine, "DOCKER", "docker")
			if left := h.run("nft", "list", "ruleset"); strings.Contains(strings.ToLower(left), "dovesnap") {
				t.Errorf("left:\n%s", left)
			}
		})
	}
}

// Labels and driver-opts come as they did before.
func TestDocker29Managed(t *testing.T) {
	t.Parallel()
	h := docker29(t)
	s := h.managed("file", operatorYAML)
	h.createManaged("net", 12, "-o", "ovs.bridge.default_acl=open", "-o", "ovs.bridge.mac_prefix=0e:29")
	one := h.container("one", "net")
	h.reaches(one, "172.12.0.1")
	if mac := h.mac(one); !strings.HasPrefix(mac, "0e:29:") {
		t.Errorf("its MAC address is %s", mac)
	}
	h.container("labelled", "net", strictLabel)
	h.docker("run", "-td", "--name=opted", on("net", "dovesnap.faucet.portacl=no-icmp", "ovs.port.ofport=9"), "busybox")
	check := func() {
		t.Helper()
		for _, box := range []string{"labelled", "opted"} {
			h.seenAs(box)
			if h.pings(box, "172.12.0.1") == nil {
				t.Errorf("%s: the ACL is not in force", box)
			}
		}
		if got := h.ofport("opted"); got != "9" {
			t.Errorf("OpenFlow port %s, want 9", got)
		}
	}
	check()
	h.docker("restart", "-t0", "labelled", "opted")
	h.kill(s.daemon)
	s.startDaemon()
	check()
	h.docker("rm", "-f", "one", "labelled", "opted")
	h.docker("network", "rm", "net")
	s.isTold(nil, "dp_id")
	s.isWell()
}
