// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

func TestDockerUser(t *testing.T) {
	const ours = `"-j DOVESNAP-FORWARD"`
	eachFlavour(t, func(t *testing.T, h *host) {
		for _, step := range []struct{ does, want string }{
			{"", `FORWARD[` + ours + `] USER[]`},
			// Docker starts after us.
			{"-N DOCKER-USER", `FORWARD[` + ours + `] USER[]`},
			{"-I FORWARD -j DOCKER-USER", `FORWARD["-j DOCKER-USER"] USER[` + ours + `]`},
			{"-A DOCKER-USER -j RETURN", `FORWARD["-j DOCKER-USER"] USER[` + ours + ` "-j RETURN"]`},
			// The user's rules go before ours, wherever the user puts them.
			{"-I DOCKER-USER -s 192.0.2.1/32 -j DROP", `FORWARD["-j DOCKER-USER"] USER["-s 192.0.2.1/32 -j DROP" ` + ours + ` "-j RETURN"]`},
			{"-I DOCKER-USER 3 -s 192.0.2.2/32 -j DROP", `FORWARD["-j DOCKER-USER"] USER["-s 192.0.2.1/32 -j DROP" "-s 192.0.2.2/32 -j DROP" ` + ours + ` "-j RETURN"]`},
			// Nothing after a bare RETURN is ever reached.
			{"-A DOCKER-USER -s 192.0.2.3/32 -j DROP", `FORWARD["-j DOCKER-USER"] USER["-s 192.0.2.1/32 -j DROP" "-s 192.0.2.2/32 -j DROP" ` + ours + ` "-j RETURN" "-s 192.0.2.3/32 -j DROP"]`},
			{"-D DOCKER-USER -j RETURN", `FORWARD["-j DOCKER-USER"] USER["-s 192.0.2.1/32 -j DROP" "-s 192.0.2.2/32 -j DROP" "-s 192.0.2.3/32 -j DROP" ` + ours + `]`},
			// A flush that Docker has not noticed: nothing leads to the chain.
			{"-F", `FORWARD[` + ours + `] USER[]`},
		} {
			if step.does != "" {
				h.ipt(step.does)
			}
			h.apply(natA)
			if diff := cmp.Diff(step.want, h.jumpsIn()); diff != "" {
				t.Fatalf("after %q: %s", step.does, diff)
			}
			if h.changed() {
				t.Errorf("after %q: Check is not content with what Apply did", step.does)
			}
		}
		h.apply()
		if diff := cmp.Diff(`FORWARD[] USER[]`, h.jumpsIn()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCheckSeesDockerAppear(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		h.ipt("-N DOCKER-USER")
		h.ipt("-I FORWARD -j DOCKER-USER")
		if !h.changed() {
			t.Error("the jump would stay behind Docker's back")
		}
	})
}

func TestFlavourFollowsDocker(t *testing.T) {
	for _, docker := range flavours {
		t.Run(docker, func(t *testing.T) {
			h := newHost(t, docker)
			h.restore(stages["docker20"])
			h.Table = h.table("auto")
			h.apply(natA)
			if h.v4.tool.legacy != (docker == "legacy") || !strings.Contains(h.save("iptables"), forwardChain) {
				t.Errorf("Docker's rules are in %s, ours in %s", docker, h.v4.tool.path)
			}
		})
	}
	newNetns(t)
	_, err := New(t.Context(), nil, "ebtables")
	wantError(t, err, `cannot use iptables flavour "ebtables": it is not auto, nft or legacy`)
}

// After a switch of flavours, the rules in the old one go, and the guard's
// meaning is kept.
func TestFlavourSwitched(t *testing.T) {
	h := newHost(t, "legacy")
	h.apply(natA)
	must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
	h.Table = h.table("nft")
	h.apply(natA)
	if s := tables(t, "iptables-legacy"); strings.Contains(s, "DOVESNAP") {
		t.Error("left in legacy:", s)
	}
	if s := tables(t, "iptables-nft"); !strings.Contains(s, guardChain) || !strings.Contains(s, forwardChain) {
		t.Error("not in nft:", s)
	}
	h.apply()
	if v := readSysctl(t, ipForward); v != "0" {
		t.Error("forwarding is left on")
	}
}

func TestNoIptables(t *testing.T) {
	_, err := tools(t.Context(), "iptables-of-nobody", 0, time.Second)
	wantError(t, err, "cannot find iptables-of-nobody: install it (Debian: apt install iptables)")

	h := newHost(t, "nft")
	h.v6.tool = nil
	h.apply(natA)
	wantError(t, h.Apply(h.ctx, []spec.Network{dualE}, nil), "cannot write IPv6 packet filter rules: cannot find ip6tables")
	if !strings.Contains(h.save("iptables"), "-o ovs-e ") {
		t.Error("IPv4 was not applied, because IPv6 could not be")
	}
	wantError(t, h.EnsureForwarding(h.ctx, []spec.Network{dualE}), "cannot switch IPv6 forwarding on: cannot find ip6tables")
}

// A kernel without IPv6 address translation serves mode routed, and says why it
// does not serve mode nat.
func TestNoIPv6NAT(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"ip6tables":         `case "$*" in *"-t nat"*) echo "can't initialize ip6tables table 'nat'" >&2; exit 3;; esac; exec /usr/sbin/ip6tables-nft "$@"`,
		"ip6tables-save":    `case "$*" in *"-t nat"*) exit 1;; esac; exec /usr/sbin/ip6tables-nft-save "$@"`,
		"ip6tables-restore": `text=$(cat); case "$text" in *"*nat"*) echo "unable to initialize table 'nat'" >&2; exit 1;; esac; printf '%s\n' "$text" | /usr/sbin/ip6tables-nft-restore "$@"`,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	h := newHost(t, "nft")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	h.Table = h.table("nft")
	h.apply(dualF)
	wantError(t, h.Apply(h.ctx, []spec.Network{dualE}, nil), "this host has no IPv6 address translation, which mode nat and published ports need", "unable to initialize table 'nat'")
	h.apply()
	if s := h.save("ip6tables"); strings.Contains(s, "DOVESNAP") {
		t.Error("left behind:", s)
	}
}
