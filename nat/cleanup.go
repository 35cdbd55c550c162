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

// prune removes our chains that none of the jumps leads to.
func (t *tool) prune(ctx context.Context, now saved, jumps []jump) error {
	for _, table := range slices.Sorted(maps.Keys(now)) {
		for _, chain := range slices.Sorted(maps.Keys(now[table])) {
			kept := slices.ContainsFunc(jumps, func(j jump) bool { return j.table == table && j.to == chain })
			if kept || !strings.HasPrefix(chain, chainPrefix) {
				continue
			}
			if err := t.drop(ctx, now, table, chain); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep removes what an earlier dovesnap left in a flavour that is not in use,
// and reports whether the guard was there: what it stands for is still true.
func sweep(ctx context.Context, t *tool) (guard bool, err error) {
	now, err := t.read(ctx)
	if err != nil || now.own() == "" {
		return false, nil // not ours to repair
	}
	return now.has("filter", guardChain), t.prune(ctx, now, nil)
}

// Cleanup removes all of our rules of both families from both flavours, with no
// memory of what was applied, and switches forwarding off again where a guard
// says that dovesnap switched it on. It carries on after an error.
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
	return joined(errs...)
}

func cleanup(ctx context.Context, t *tool, sysctl string) error {
	now, err := t.read(ctx)
	if err != nil {
		return err
	}
	if now.has("filter", guardChain) {
		if err := setSysctl(sysctl, "0"); err != nil {
			return err
		}
	}
	return t.prune(ctx, now, nil)
}
