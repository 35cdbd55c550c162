// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
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

// guardOf returns the guard: it drops what nothing before it accepted, and says of
// which links we changed accept_ra.
func guardOf(kept []string) chain {
	return chain{"filter", guardChain, append(acceptRARules(kept), `-m comment --comment "dovesnap:guard" -j DROP`)}
}

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
// forwarding goes, Apply finds it, sets back what it stands for and removes it. A
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
	var learners []string
	if s.sysctl == ipv6Forwarding {
		if learners, err = findLearners(); err != nil {
			return err
		}
	}
	// The guard first: a crash in between leaves a guard without forwarding,
	// which harms nobody and is found by the next Apply.
	if err := s.ensureGuard(ctx, learners); err != nil {
		return err
	}
	if err := changeAcceptRA(learners, "1", "2"); err != nil {
		return err
	}
	if err := setSysctl(s.sysctl, "1"); err != nil {
		return err
	}
	s.noteForwarding()
	s.log.Info("forwarding switched on, with a guard that drops what no rule accepts", "family", s.name)
	return nil
}

// recall takes up what the rules say that we changed.
func (s *stack) recall(now saved) {
	s.guard = s.guard || now.has("filter", guardChain)
	s.kept = union(s.kept, now.acceptRA())
	if s.guard {
		s.noteForwarding()
	}
}

func (s *stack) noteForwarding() {
	s.sysctls.note(s.sysctl, "0", "1", "networks have the host as their "+s.name+" gateway")
	for _, link := range s.kept {
		if path := acceptRA(link); readValue(path) == "2" {
			s.sysctls.note(path, "1", "2", "the host forwards, and keeps its own advertised route")
		} else {
			s.sysctls.forget(path) // somebody else's now
		}
	}
}

// stopForwarding undoes forward, but for the guard's chain: that must not be gone
// while anything is still as we set it, so Apply removes it afterwards.
func (s *stack) stopForwarding() error {
	if err := resetForwarding(s.sysctl, s.kept); err != nil {
		return err
	}
	s.log.Info("forwarding switched off again: no network needs it", "family", s.name)
	s.sysctls.forget(s.sysctl)
	for _, link := range s.kept {
		s.sysctls.forget(acceptRA(link))
	}
	s.guard, s.kept, s.applied = false, nil, false
	return nil
}

// resetForwarding sets back what a guard stands for. accept_ra comes last: while the
// host forwards, its route would go.
func resetForwarding(sysctl string, kept []string) error {
	if err := setSysctl(sysctl, "0"); err != nil {
		return err
	}
	return changeAcceptRA(kept, "2", "1")
}

// ensureGuard makes the guard, with links of which accept_ra is to be changed.
func (s *stack) ensureGuard(ctx context.Context, links []string) error {
	now, err := s.tool.read(ctx)
	if err != nil {
		return err
	}
	// What is remembered below must not hide a change that Check has not seen.
	s.applied = s.applied && sameChains(s.written, now.own())
	s.recall(now)
	kept := union(s.kept, links)
	if err := s.tool.restore(ctx, restoreText([]chain{guardOf(kept)})); err != nil {
		return err
	}
	s.guard, s.kept = true, kept
	if err := s.tool.place(ctx, now, guardJump); err != nil {
		return err
	}
	return s.remember(ctx)
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
