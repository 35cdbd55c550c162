// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dovesnap/spec"
)

// ufw drops what it has no rule for, and is enabled and reloaded at will.
func TestUFW(t *testing.T) {
	if _, err := exec.LookPath("ufw"); err != nil {
		t.Skip("needs ufw (apt install ufw)")
	}
	s := newScene(t, "nft", "10.%d.0.%d")
	etc := t.TempDir()
	must(t, os.Mkdir(etc+"/default", 0o755))
	command(t, "cp", "-a", "/etc/ufw", etc+"/ufw")
	command(t, "cp", "-a", "/etc/default/ufw", etc+"/default/ufw")
	ufw := func(args string) { // on a copy of its configuration
		t.Helper()
		command(t, "unshare", "--mount", "sh", "-ec", "mount --bind "+etc+"/ufw /etc/ufw; mount --bind "+etc+"/default/ufw /etc/default/ufw; ufw "+args)
	}
	s.publish(1, dualE, s.web.addr, "tcp 0.0.0.0 8080", "udp 0.0.0.0 8080")
	for _, args := range []string{"--force enable", "reload", "disable", "--force enable"} {
		ufw(args)
		if s.changed() { // the guard has to be last again
			s.applyAgain()
		}
		for from, want := range map[away]string{s.outside: "10.1.0.8", s.second: "10.5.0.1", s.web: "10.5.0.1", s.host: "10.1.0.1"} {
			for _, proto := range []spec.Proto{spec.TCP, spec.UDP} {
				if got, err := s.ask(from, proto, "10.1.0.1:8080"); got != want {
					t.Errorf("after ufw %s, from %s, %s: %q, %v", args, from.addr, proto, got, err)
				}
			}
		}
	}
	ufw("disable")
}

// prefixOf returns the host's address on a network.
func prefixOf(s *scene, net int) netip.Prefix { return netip.PrefixFrom(s.at(net, 1), s.bits) }

func TestRepairsAreRare(t *testing.T) {
	now := time.Unix(0, 0)
	r := repairs{now: func() time.Time { return now }}
	for range repairBurst {
		must(t, r.allow())
		now = now.Add(time.Second)
	}
	wantError(t, r.allow(), "somebody changes our packet filter rules again and again")
	now = now.Add(repairWindow - repairBurst*time.Second)
	must(t, r.allow())
	wantError(t, r.allow(), "again and again")
	now = now.Add(repairWindow)
	must(t, r.allow())
}

// Who only asks must not use up what repairs there are.
func TestCheckIsFree(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		for range 2 * repairBurst {
			if h.changed() {
				t.Fatal("Check sees a change")
			}
		}
		t.Setenv("PATH", "/nowhere") // nor run a program
		h.v4.tool.path, h.v6.tool.path = "/nowhere", "/nowhere"
		if h.changed() {
			t.Fatal("Check sees a change")
		}
		h.v4.seenAt = time.Now().Add(-deepAfter) // but sometimes it must
		if _, err := h.Check(h.ctx); err == nil {
			t.Error("Check trusts the generation for ever")
		}
	})
}

func TestGeneration(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(dualE)
		for _, tool := range []*tool{h.v4.tool, h.v6.tool} {
			at := func() string {
				g, err := tool.generation()
				must(t, err)
				return g
			}
			before := at()
			if _, err := tool.read(h.ctx); err != nil || at() != before {
				t.Error("reading changed it", err)
			}
			for _, c := range [][]string{{"-F"}, {"-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT"}, {"-t", "nat", "-F"}} {
				command(t, tool.path, c...)
				if at() == before {
					t.Errorf("%v did not change it", c)
				}
				before = at()
			}
		}
	})
}

// Settings of the kernel's are found wrong, put right, listed, and set back.
func TestSysctls(t *testing.T) {
	h := newHost(t, "nft")
	must(t, setSysctl(filepath.Join(ipv4Conf, "default", rpKey), "1"))
	command(t, "ip", "link", "add", "ovs-e", "type", "bridge")
	rp, localnet := filepath.Join(ipv4Conf, "ovs-e", rpKey), filepath.Join(ipv4Conf, "ovs-e", localnetKey)
	want := func(when, rpIs, localnetIs string, keys ...string) {
		t.Helper()
		if got := readSysctl(t, rp) + readSysctl(t, localnet); got != rpIs+localnetIs {
			t.Errorf("%s: rp_filter and route_localnet are %s", when, got)
		}
		var listed []string
		for _, c := range h.Sysctls() {
			listed = append(listed, c.Key+" "+c.Was+" "+c.Is)
		}
		if !slices.Equal(listed, keys) {
			t.Errorf("%s: listed %q, want %q", when, listed, keys)
		}
		if h.changed() {
			t.Errorf("%s: Check sees a change", when)
		}
	}
	const rpLine, localnetLine = "net.ipv4.conf.ovs-e.rp_filter 1 2", "net.ipv4.conf.ovs-e.route_localnet 0 1"
	h.apply(dualE)
	want("without ports", "2", "0", rpLine)
	must(t, h.Publish(h.ctx, dualE, endpoint(1, "tcp 192.0.2.1:80 10.5.0.8:80", "tcp [::]:80 [fd00:5::8]:80")))
	want("without ports at 127.0.0.1", "2", "0", rpLine)
	must(t, h.Publish(h.ctx, dualE, endpointA))
	want("with ports", "2", "1", localnetLine, rpLine)
	must(t, setSysctl(localnet, "0"))
	if !h.changed() {
		t.Error("Check does not see that a setting was changed")
	}
	h.Table = h.table("nft")
	must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA}))
	want("after a restart", "2", "1", localnetLine, rpLine)
	h.Table = h.table("nft")
	h.apply(dualE)
	want("after a restart without ports", "2", "0", rpLine)
	must(t, h.Publish(h.ctx, dualE, endpointA))
	must(t, h.Unpublish(h.ctx, endpointA.ID))
	want("unpublished", "2", "0", rpLine)
	command(t, "ip", "link", "del", "ovs-e")
	h.apply()
	if got := h.Sysctls(); len(got) > 0 {
		t.Errorf("listed without the link: %+v", got)
	}
}
