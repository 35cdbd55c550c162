// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func eachFlavour(t *testing.T, f func(*testing.T, *host)) {
	for _, flavour := range flavours {
		t.Run(flavour, func(t *testing.T) { f(t, newHost(t, flavour)) })
	}
}

func TestCheckBeforeApply(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		if !h.changed() {
			t.Error("nothing was applied, and Check is content")
		}
		h.apply()
		if h.changed() {
			t.Error("no networks, no rules, and Check is not content")
		}
	})
}

func TestRepair(t *testing.T) {
	for name, damage := range map[string][]string{
		"flush filter":       {"-F"},
		"flush nat":          {"-t nat -F"},
		"flush both, delete": {"-F", "-t nat -F", "-X", "-t nat -X"},
		"jump":               {"-D FORWARD -j DOVESNAP-FORWARD"},
		"one rule":           {"-D DOVESNAP-FORWARD 1"},
		"one rule more":      {"-I DOVESNAP-FORWARD -j ACCEPT"},
		"jump twice":         {"-I FORWARD -j DOVESNAP-FORWARD"},
		"jump from INPUT":    {"-I INPUT -j DOVESNAP-FORWARD"},
		"nat jump":           {"-t nat -D POSTROUTING -j DOVESNAP-POST"},
		"flush raw":          {"-t raw -F"},
		"raw jump":           {"-t raw -D PREROUTING -j DOVESNAP-RAW"},
	} {
		t.Run(name, func(t *testing.T) {
			eachFlavour(t, func(t *testing.T, h *host) {
				h.apply(natA, routedC, flatD)
				before := h.both()
				for _, d := range damage {
					h.ipt(d)
				}
				if !h.changed() {
					t.Fatal("Check does not see it")
				}
				h.apply(natA, routedC, flatD)
				if diff := cmp.Diff(before, h.both()); diff != "" {
					t.Error("not repaired:", diff)
				}
				if h.changed() {
					t.Error("repaired, and Check is not content")
				}
			})
		})
	}
}

func TestRepairAfterFlushRuleset(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (apt install nftables)")
	}
	h := newHost(t, "nft")
	h.apply(natA)
	before := h.both()
	command(t, "nft", "flush", "ruleset")
	if !h.changed() {
		t.Fatal("Check does not see it")
	}
	h.apply(natA)
	if diff := cmp.Diff(before, h.both()); diff != "" {
		t.Error("not repaired:", diff)
	}
}

func TestForeignChangesAreNotOurs(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		h.ipt("-I FORWARD -s 192.0.2.1 -j DROP")
		h.ipt("-P FORWARD DROP")
		h.ipt("-N THEIRS")
		h.ipt("-t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE")
		h.ipt("-t raw -A PREROUTING -s 192.0.2.9 -j DROP")
		if h.changed() {
			t.Error("Check takes somebody else's rules for a change of ours")
		}
		h.apply(natA, natB)
		h.apply()
		want := parse("*filter\n:INPUT\n:FORWARD\n:OUTPUT\n:THEIRS\n-A FORWARD -s 192.0.2.1/32 -j DROP\n" +
			"*nat\n:PREROUTING\n:INPUT\n:OUTPUT\n:POSTROUTING\n-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE\n" +
			"*raw\n:PREROUTING\n:OUTPUT\n-A PREROUTING -s 192.0.2.9/32 -j DROP")
		if diff := cmp.Diff(want, parse(h.save("iptables"))); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(h.save("iptables"), ":FORWARD DROP") {
			t.Error("the policy was changed")
		}
	})
}

// jumpsIn returns the rules of two chains, in short.
func (h *host) jumpsIn() string {
	s := parse(h.save("iptables"))
	return fmt.Sprintf("FORWARD%q USER%q", s["filter"]["FORWARD"], s["filter"]["DOCKER-USER"])
}

func TestCleanup(t *testing.T) {
	newNetns(t)
	before := tables(t, "iptables-nft") + tables(t, "iptables-legacy")
	for _, flavour := range flavours {
		table, err := newTable(t.Context(), discard, flavour, time.Second)
		must(t, err)
		table.v4.others, table.v6.others = nil, nil // two daemons that know nothing of each other
		must(t, table.Apply(t.Context(), []spec.Network{natA, dualE}, nil))
		must(t, table.EnsureForwarding(t.Context(), []spec.Network{natA, dualE}))
	}
	must(t, Cleanup(t.Context()))
	must(t, Cleanup(t.Context()))
	if diff := cmp.Diff(before, tables(t, "iptables-nft")+tables(t, "iptables-legacy")); diff != "" {
		t.Error("left behind:", diff)
	}
	for _, path := range []string{ipForward, ipv6Forwarding} {
		if v := readSysctl(t, path); v != "0" {
			t.Errorf("%s is %s", path, v)
		}
	}
}

// A listing of all tables can fail for one that is not ours; the three that are
// ours are then read one by one.
func TestReadTableByTable(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"iptables":         `exec /usr/sbin/iptables-nft "$@"`,
		"iptables-save":    `[ "$1" = -t ] || exit 1; exec /usr/sbin/iptables-nft-save "$@"`,
		"iptables-restore": `exec /usr/sbin/iptables-nft-restore "$@"`,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	h := newHost(t, "nft")
	before := h.both()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	h.Table = h.table("nft")
	for _, nets := range [][]spec.Network{{natA, flatD}, {flatD}} {
		h.apply(nets...)
		if h.changed() {
			t.Error("Check is not content")
		}
		for _, c := range []string{"-t raw -F DOVESNAP-RAW", "-t raw -D PREROUTING -j DOVESNAP-RAW"} {
			h.ipt(c)
			if !h.changed() {
				t.Errorf("Check does not see %q", c)
			}
			h.apply(nets...)
		}
	}
	h.apply()
	if diff := cmp.Diff(before, h.both()); diff != "" {
		t.Error("left behind:", diff)
	}
}

// A pass that has nothing to write costs one listing a family.
func TestApplyReadsOnce(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(dualE)
		dir := t.TempDir()
		for _, tool := range []*tool{h.v4.tool, h.v6.tool} {
			name := filepath.Base(tool.path)
			script := "#!/bin/sh\necho " + name + " >> " + dir + "/runs\nexec " + tool.path + "-save \"$@\"\n"
			must(t, os.WriteFile(dir+"/"+name+"-save", []byte(script), 0o755))
			tool.path = dir + "/" + name
		}
		h.apply(dualE)
		runs, err := os.ReadFile(dir + "/runs")
		must(t, err)
		if n := len(strings.Fields(string(runs))); n != 2 {
			t.Errorf("%d listings: %q", n, runs)
		}
	})
}

// A user's rule that jumps to our chain is the user's to remove.
func TestChainInUse(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		h.ipt("-A INPUT -s 192.0.2.1 -j DOVESNAP-FORWARD")
		wantError(t, h.Apply(h.ctx, nil, nil), "cannot remove chain DOVESNAP-FORWARD: a rule of yours jumps to it")
		h.ipt("-F INPUT")
		h.apply()
		if s := h.save("iptables"); strings.Contains(s, "DOVESNAP") {
			t.Error("left behind:", s)
		}
	})
}

func TestLockHeld(t *testing.T) {
	h := newHost(t, "legacy")
	lock, err := os.OpenFile(os.Getenv("XTABLES_LOCKFILE"), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	wantError(t, h.Apply(h.ctx, []spec.Network{natA}, nil), "cannot write IPv4 packet filter rules", "xtables lock")
	if !h.changed() {
		t.Error("Check is content after a failed Apply")
	}
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_UN))
	h.apply(natA)
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	h.wantDeadline(t, natB)
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_UN))
}

// wantDeadline applies under a context that ends before iptables gives up.
func (h *host) wantDeadline(t *testing.T, n spec.Network) {
	t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, 200*time.Millisecond)
	defer cancel()
	wantError(t, h.Apply(ctx, []spec.Network{n}, nil), "cannot write IPv4 packet filter rules", "deadline exceeded")
}

// From any state, through any damage, Apply ends at what a fresh host would get,
// with everybody else's rules still there.
func TestRandomWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t, "nft")
	h.restore(stages["docker20"])
	damage := []string{"-F FORWARD", "-F DOCKER-USER", "-t nat -F", "-D FORWARD -j DOCKER-USER", "-I FORWARD -j DOCKER-USER",
		"-A DOCKER-USER -j RETURN", "-A DOCKER-USER -s 192.0.2.9 -j DROP", "-F DOVESNAP-FORWARD", "-I FORWARD -j DOVESNAP-FORWARD",
		"-t nat -A POSTROUTING -o eth9 -j MASQUERADE", "-A FORWARD -i eth9 -j ACCEPT",
		"-t raw -F", "-t raw -I PREROUTING -s 192.0.2.9 -j DROP"}
	all := []spec.Network{natA, natB, routedC, flatD, dualE, dualF}
	for i := range 60 {
		for range random.IntN(3) {
			_ = exec.Command("iptables-nft", strings.Fields(damage[random.IntN(len(damage))])...).Run() // some do not apply
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		nets := all[:random.IntN(len(all)+1)]
		foreign := withoutOurs(h.save("iptables"))
		if random.IntN(10) == 0 {
			h.Table = h.table("nft") // a restart
		}
		h.apply(nets...)
		got := parse(h.save("iptables"))
		want := Render(nets, nil, Links{}).V4
		if diff := cmp.Diff(want.Forward, got["filter"][forwardChain]); diff != "" {
			t.Fatalf("step %d: %s", i, diff)
		}
		if diff := cmp.Diff(want.Post, got["nat"][postChain]); diff != "" {
			t.Fatalf("step %d: %s", i, diff)
		}
		if diff := cmp.Diff(want.Raw, got["raw"][rawChain]); diff != "" {
			t.Fatalf("step %d: %s", i, diff)
		}
		if !got.inPlace(got.jumps(want, false)) || h.changed() {
			t.Fatalf("step %d: jumps are out of place: %s", i, h.save("iptables"))
		}
		if diff := cmp.Diff(foreign, withoutOurs(h.save("iptables"))); diff != "" {
			t.Fatalf("step %d: somebody else's rules changed: %s", i, diff)
		}
	}
}

func withoutOurs(save string) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(save, "\n") {
		if !strings.Contains(line, "DOVESNAP-") {
			b.WriteString(line)
		}
	}
	return b.String()
}
