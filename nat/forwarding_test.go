// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

var discard = slog.New(slog.DiscardHandler)

func TestEnsureForwarding(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.ipt("-A FORWARD -i eth9 -j ACCEPT")
		before := h.both()
		h.apply(natA)
		if v := readSysctl(t, ipForward); v != "0" {
			t.Fatal("Apply alone switched forwarding on")
		}
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		if v := readSysctl(t, ipForward); v != "1" {
			t.Error("forwarding is off")
		}
		if v := readSysctl(t, ipv6Forwarding); v != "0" {
			t.Error("IPv6 forwarding was switched on for a network without IPv6")
		}
		applied := h.both()
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		h.apply(natA)
		if h.changed() {
			t.Error("Check is not content")
		}
		if diff := cmp.Diff(applied, h.both()); diff != "" {
			t.Error("the second time changed:", diff)
		}

		// Somebody appends: the guard must stay last, and not before that.
		h.ipt("-A FORWARD -i eth8 -j ACCEPT")
		if !h.changed() {
			t.Error("Check does not see that the guard cuts off another's rule")
		}
		h.apply(natA)
		rules := parse(h.save("iptables"))["filter"]["FORWARD"]
		if slices.Index(rules, "-j "+guardChain) != len(rules)-1 {
			t.Errorf("FORWARD is %q", rules)
		}
		h.ipt("-D FORWARD -i eth8 -j ACCEPT")

		h.Table = h.table(h.flavour) // a restart
		h.apply(natA)
		h.apply()
		if v := readSysctl(t, ipForward); v != "0" {
			t.Error("forwarding is left on")
		}
		if diff := cmp.Diff(before, h.both()); diff != "" {
			t.Error("left behind:", diff)
		}
	})
}

// A flat network has rules, and needs no forwarding: when the last one that does
// goes, the guard goes too, whatever was remembered of it.
func TestForwardingEndsBesideFlat(t *testing.T) {
	for name, ending := range map[string]func(*host){
		"network goes": func(h *host) {
			h.apply(natA, flatD)
			must(h, h.EnsureForwarding(h.ctx, []spec.Network{natA, flatD}))
		},
		"after a restart": func(h *host) {
			h.apply(natA, flatD)
			must(h, h.EnsureForwarding(h.ctx, []spec.Network{natA, flatD}))
			h.Table = h.table(h.flavour)
		},
		"network was never applied": func(h *host) {
			must(h, h.EnsureForwarding(h.ctx, []spec.Network{natA, flatD}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachFlavour(t, func(t *testing.T, h *host) {
				before := h.both()
				h.apply(flatD)
				flat := h.both()
				ending(h)
				if v := readSysctl(t, ipForward); v != "1" {
					t.Fatal("forwarding is off")
				}
				h.apply(flatD)
				if v := readSysctl(t, ipForward); v != "0" {
					t.Error("forwarding is left on")
				}
				if diff := cmp.Diff(flat, h.both()); diff != "" {
					t.Error("left behind beside the flat network:", diff)
				}
				if h.changed() {
					t.Error("Check is not content")
				}
				h.apply()
				if diff := cmp.Diff(before, h.both()); diff != "" {
					t.Error("left behind:", diff)
				}
			})
		})
	}
}

// A network that fails after it asked for forwarding.
func TestForwardingEndsWithoutNetworks(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		before := h.both()
		h.apply()
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		h.apply()
		if v := readSysctl(t, ipForward); v != "0" {
			t.Error("forwarding is left on")
		}
		if diff := cmp.Diff(before, h.both()); diff != "" {
			t.Error("left behind:", diff)
		}
	})
}

// Somebody else's forwarding is somebody else's to switch off.
func TestForwardingOfOthers(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		must(t, setSysctl(ipForward, "1"))
		h.apply(natA)
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		if strings.Contains(h.save("iptables"), guardChain) {
			t.Error("a guard, though the host was a router before us")
		}
		h.apply()
		if v := readSysctl(t, ipForward); v != "1" {
			t.Error("switched off somebody else's forwarding")
		}
	})
}

func TestGuardSurvivesFlush(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		before := h.both()
		h.ipt("-F")
		h.ipt("-X")
		if !h.changed() {
			t.Error("Check does not see it")
		}
		h.apply(natA)
		if diff := cmp.Diff(before, h.both()); diff != "" {
			t.Error("an open router:", diff)
		}
	})
}

// Making the guard must not hide what somebody did to the other chains.
func TestGuardHidesNothing(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(natA)
		h.ipt("-F DOVESNAP-FORWARD")
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{natA}))
		if !h.changed() {
			t.Error("Check is content with an empty chain")
		}
	})
}

func TestFlatNeedsNoForwarding(t *testing.T) {
	h := newHost(t, "nft")
	must(t, h.EnsureForwarding(h.ctx, []spec.Network{flatD}))
	if v := readSysctl(t, ipForward); v != "0" {
		t.Error("forwarding was switched on for a flat network")
	}
}

func TestEnsureForwardingIPv6(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		before := h.both()
		h.apply(dualF)
		must(t, h.EnsureForwarding(h.ctx, []spec.Network{dualF}))
		if v := readSysctl(t, ipv6Forwarding); v != "1" {
			t.Error("IPv6 forwarding is off")
		}
		if !strings.Contains(h.save("ip6tables"), guardChain) {
			t.Error("no IPv6 guard")
		}
		h.apply()
		if v := readSysctl(t, ipv6Forwarding); v != "0" {
			t.Error("IPv6 forwarding is left on")
		}
		if diff := cmp.Diff(before, h.both()); diff != "" {
			t.Error("left behind:", diff)
		}
	})
}

func TestAdvertised(t *testing.T) {
	const zero = "00000000000000000000000000000000"
	text := strings.Join([]string{
		zero + " 00 " + zero + " 00 fe80000000000000000000000000000a 00000400 00000001 00000000 00450003     eth0",
		zero + " 00 " + zero + " 00 fe80000000000000000000000000000b 00000400 00000001 00000000 00000003     eth1", // set by hand
		"fd000000000000000000000000000000 40 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00440001     eth2",
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo",
		"",
	}, "\n")
	if diff := cmp.Diff([]string{"eth0"}, advertised(text)); diff != "" {
		t.Error(diff)
	}
}
