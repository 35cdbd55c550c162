// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dovesnap/spec"
)

const (
	ipForward      = "/proc/sys/net/ipv4/ip_forward"
	ipv6Forwarding = "/proc/sys/net/ipv6/conf/all/forwarding"
	ipv6Conf       = "/proc/sys/net/ipv6/conf"
	ipv6Disabled   = ipv6Conf + "/all/disable_ipv6" // not there on a kernel without IPv6
	// Not /proc/net: that is the namespace of the process's first thread.
	ipv6Routes = "/proc/thread-self/net/ipv6_route"
)

// guardText makes the guard: it drops what nothing before it accepted.
var (
	guard     = chain{"filter", guardChain, []string{`-m comment --comment "dovesnap:guard" -j DROP`}}
	guardText = restoreText([]chain{guard})
)

// EnsureForwarding lets the host forward packets, for the families in which it
// is a network's gateway.
//
// Call it only while Docker is known to run, never at start: dockerd sets FORWARD's
// policy to DROP only if it is the one to switch forwarding on. A host on which
// we did it first would route between all its interfaces for anybody.
//
// Forwarding is off at such a moment only if Docker was told to leave it alone
// or somebody switched it off since. Then we switch it on, and put a guard at
// the end of FORWARD, which drops what nothing before it accepted, so that the
// host becomes a router for our networks and for nobody else. The guard's
// existence is also the record that it was us: when the last network that needs
// forwarding goes, Apply finds it, switches forwarding off and removes it. A
// reboot forgets both.
func (t *Table) EnsureForwarding(ctx context.Context, nets []spec.Network) error {
	return joined(
		t.v4.ensureForwarding(ctx, needed(nets, netip.Addr.Is4)),
		t.v6.ensureForwarding(ctx, needed(nets, netip.Addr.Is6)))
}

func needed(nets []spec.Network, in func(netip.Addr) bool) bool {
	return slices.ContainsFunc(nets, func(n spec.Network) bool { return len(gatewayPools(n, in)) > 0 })
}

func (s *stack) ensureForwarding(ctx context.Context, needed bool) error {
	if !needed {
		return nil
	}
	if err := s.forward(ctx); err != nil {
		return fmt.Errorf("cannot switch %s forwarding on: %w", s.name, err)
	}
	return nil
}

func (s *stack) forward(ctx context.Context) error {
	is, err := os.ReadFile(s.sysctl)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(is)) != "0" {
		return nil
	}
	if s.tool == nil {
		return fmt.Errorf("cannot find %s: install it (Debian: apt install iptables)", s.command)
	}
	// The guard first: a crash in between leaves a guard without forwarding,
	// which harms nobody and is found by the next Apply.
	if err := s.ensureGuard(ctx); err != nil {
		return err
	}
	if s.sysctl == ipv6Forwarding {
		if err := s.keepAdvertisedRoutes(); err != nil {
			return err
		}
	}
	if err := setSysctl(s.sysctl, "1"); err != nil {
		return err
	}
	s.noteForwarding()
	s.log.Info("forwarding switched on, with a guard that drops what no rule accepts", "family", s.name)
	return nil
}

func (s *stack) noteForwarding() {
	s.sysctls.note(s.sysctl, "0", "1", "networks have the host as their "+s.name+" gateway")
}

// stopForwarding undoes forward, but for the guard's chain: that must not be gone
// while forwarding is still on, so Apply removes it afterwards.
func (s *stack) stopForwarding() error {
	if err := setSysctl(s.sysctl, "0"); err != nil {
		return err
	}
	s.log.Info("forwarding switched off again: no network needs it", "family", s.name)
	s.sysctls.forget(s.sysctl)
	s.guard, s.applied = false, false
	return nil
}

func (s *stack) ensureGuard(ctx context.Context) error {
	now, err := s.tool.read(ctx)
	if err != nil {
		return err
	}
	// What is remembered below must not hide a change that Check has not seen.
	s.applied = s.applied && sameChains(s.written, now.own())
	if err := s.tool.restore(ctx, guardText); err != nil {
		return err
	}
	s.guard = true
	if err := s.tool.place(ctx, now, guardJump); err != nil {
		return err
	}
	return s.remember(ctx)
}

// keepAdvertisedRoutes keeps the host's own IPv6 default route. A host that
// forwards ignores router advertisements on interfaces whose accept_ra is 1, and
// loses the route when its lifetime ends; with 2 it does not
// (Documentation/networking/ip-sysctl.rst). Without forwarding 2 means the same
// as 1, so it is not set back.
func (s *stack) keepAdvertisedRoutes() error {
	text, err := os.ReadFile(ipv6Routes)
	if err != nil {
		return err
	}
	for _, link := range advertised(string(text)) {
		key := filepath.Join(ipv6Conf, link, "accept_ra")
		value, err := os.ReadFile(key)
		if errors.Is(err, os.ErrNotExist) || (err == nil && strings.TrimSpace(string(value)) != "1") {
			continue
		} else if err != nil {
			return err
		}
		if err := setSysctl(key, "2"); err != nil {
			return err
		}
		s.sysctls.note(key, "1", "2", "the host forwards, and keeps its own advertised route")
	}
	return nil
}

// advertised returns the interfaces with a default route that the kernel learnt
// from a router advertisement, from the text of ipv6_route: destination, length,
// source, length, next hop, metric, two counters, flags, interface.
func advertised(routes string) []string {
	const learnt = 0x00010000 | 0x00040000 // RTF_DEFAULT | RTF_ADDRCONF, linux/ipv6_route.h
	var links []string
	for _, line := range strings.Split(routes, "\n") {
		f := strings.Fields(line)
		if len(f) != 10 || f[1] != "00" {
			continue
		}
		flags, err := strconv.ParseUint(f[8], 16, 32)
		if err == nil && flags&learnt == learnt && !slices.Contains(links, f[9]) {
			links = append(links, f[9])
		}
	}
	return links
}

// setSysctl writes to a file that is there already; see os.WriteFile for what it
// would do to one that is not.
func setSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
