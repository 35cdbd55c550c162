// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// prune removes our chains that are not among those to keep, and the jumps to
// them, however many: after a crash there may be hundreds of endpoints'.
func (t *tool) prune(ctx context.Context, now saved, keep []chain) error {
	var errs []error
	for _, table := range slices.Sorted(maps.Keys(now)) {
		var gone []string
		for _, name := range slices.Sorted(maps.Keys(now[table])) {
			kept := slices.ContainsFunc(keep, func(c chain) bool { return c.table == table && c.name == name })
			if kept || !strings.HasPrefix(name, chainPrefix) {
				continue
			}
			for _, from := range now.strays(table, name, nil) {
				if err := t.remove(ctx, now, table, from, name); err != nil {
					return err
				}
			}
			if now.usedBySomebody(table, name) {
				errs = append(errs, fmt.Errorf("cannot remove chain %s: a rule of yours jumps to it", name))
				continue
			}
			gone = append(gone, name)
		}
		if len(gone) == 0 {
			continue
		}
		if err := t.restore(ctx, removeText(table, gone)); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove chains %s…: %w", gone[0], err))
			continue
		}
		for _, name := range gone {
			delete(now[table], name)
		}
	}
	return joined(errs...)
}

// sweep removes what an earlier dovesnap left in a flavour that is not in use. What
// a guard there stands for is still true.
func (s *stack) sweep(ctx context.Context, t *tool) error {
	now, err := t.read(ctx)
	if err != nil || len(now.own()) == 0 {
		return nil // not ours to repair
	}
	s.recall(now)
	return t.prune(ctx, now, nil)
}

// Cleanup removes all of our rules of both families from both flavours, and our
// zone from firewalld, with no memory of what was applied, and sets back what a
// guard stands for. It carries on after an error.
func Cleanup(ctx context.Context) error {
	var errs []error
	for _, f := range []struct {
		command, sysctl string
		proto           iptables.Protocol
	}{
		{"iptables", ipForward, iptables.ProtocolIPv4},
		{"ip6tables", ipv6Forwarding, iptables.ProtocolIPv6},
	} {
		found, err := tools(ctx, f.command, f.proto, lockWait)
		if err != nil {
			continue // without the program, there are no rules of ours
		}
		for _, t := range found {
			if err := cleanup(ctx, t, f.sysctl); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove rules of %s: %w", t.path, err))
			}
		}
	}
	// Last: firewalld flushes everybody's rules when it forgets the zone, and with
	// them the guard, which says something.
	return joined(append(errs, removeZone(ctx))...)
}

func cleanup(ctx context.Context, t *tool, sysctl string) error {
	now, err := t.read(ctx)
	if err != nil {
		return err
	}
	if now.has("filter", guardChain) {
		if err := resetForwarding(sysctl, now.acceptRA()); err != nil {
			return err
		}
	}
	return t.prune(ctx, now, nil)
}
