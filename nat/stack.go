// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// deepAfter is after how long Check reads the rules though nothing seems to have
// changed: see generation.
const deepAfter = time.Minute

// stack is the packet filter of one address family, and what is remembered of
// the last Apply. Forgetting it costs one needless Apply.
type stack struct {
	log     *slog.Logger
	name    string
	command string
	sysctl  string // of forwarding
	in      family
	tool    *tool // nil: not installed
	others  []*tool
	sysctls *sysctls
	renamed func(saved) bool // nil, or: Docker's bridges are not those that our rules name

	applied bool                // the last Apply succeeded
	want    Family              // what it was asked for
	written map[string][]string // what iptables-save printed of it
	guard   bool                // we switched forwarding on
	kept    []string            // links of which we changed accept_ra with it
	seen    string              // the generation in which that was found; "": unknown
	seenAt  time.Time
}

// listing is what the tables had, and the generation before they were read.
type listing struct {
	rules      saved
	generation string
}

func (s *stack) read(ctx context.Context) (listing, error) {
	generation, _ := s.tool.generation()
	rules, err := s.tool.read(ctx)
	return listing{rules, generation}, err
}

// apply makes the family's rules what is wanted, and reports whether anything had
// to be written. found is what was just read; nil: nothing.
func (s *stack) apply(ctx context.Context, want Family, found *listing) (wrote bool, err error) {
	if want.keepsOff() && (s.tool == nil || readValue(ipv6Disabled) == "") {
		want = Family{} // there is no IPv6 to keep off, or nothing to do it with
	}
	if s.tool == nil {
		if want.empty() {
			s.applied = true
			return false, nil
		}
		s.applied = false
		return false, fmt.Errorf("cannot write %s packet filter rules: cannot find %s: install it (Debian: apt install iptables)", s.name, s.command)
	}
	if wrote, err = s.write(ctx, want, found); err != nil {
		s.applied = false
		return wrote, fmt.Errorf("cannot write %s packet filter rules: %w", s.name, err)
	}
	s.applied, s.want = true, want
	return wrote, nil
}

func (s *stack) write(ctx context.Context, want Family, found *listing) (wrote bool, err error) {
	if s.applied && !s.guard && s.want.empty() && want.empty() {
		return false, nil
	}
	for len(s.others) > 0 {
		if err := s.sweep(ctx, s.others[0]); err != nil {
			return false, err
		}
		s.others = s.others[1:]
	}
	if found == nil {
		l, err := s.read(ctx)
		if err != nil {
			return false, err
		}
		found = &l
	}
	now := found.rules
	s.recall(now)
	if s.guard && !want.forwards() {
		if err := s.stopForwarding(); err != nil {
			return false, err
		}
	}
	jumps := now.jumps(want, s.guard)
	if s.applied && s.want.equal(want) && sameChains(s.written, now.own()) && now.inPlace(jumps) {
		s.see(found.generation)
		return false, nil
	}
	// The contents before the jumps: a chain that is jumped to while it is empty
	// would be a moment without the drops.
	chains := want.chains()
	text := restoreText(chains)
	if s.guard {
		guard := guardOf(s.kept)
		text += restoreText([]chain{guard})
		chains = append(chains, guard)
	}
	if text != "" {
		if err := s.tool.restore(ctx, text); err != nil {
			return true, s.explain(ctx, want, err)
		}
	}
	if err := s.tool.placeAll(ctx, now, jumps); err != nil {
		return true, err
	}
	if err := s.tool.prune(ctx, now, chains); err != nil {
		return true, err
	}
	return true, s.remember(ctx)
}

// remember notes how the host prints what was written.
func (s *stack) remember(ctx context.Context) error {
	found, err := s.read(ctx)
	if err == nil {
		s.written = found.rules.own()
		s.see(found.generation)
	}
	return err
}

func (s *stack) see(generation string) { s.seen, s.seenAt = generation, time.Now() }

// explain names the usual reason why address translation does not work: IPv6 has
// it only on kernels built so.
func (s *stack) explain(ctx context.Context, want Family, cause error) error {
	if len(want.Pre) == 0 {
		return cause
	}
	if _, err := s.tool.rule.ListChains("nat"); err != nil && ctx.Err() == nil {
		return fmt.Errorf("this host has no %s address translation, which mode nat and published ports need; use mode routed, or subnets of the other family: %w", s.name, cause)
	}
	return cause
}

func (s *stack) changed(ctx context.Context) (bool, error) {
	if s.want.empty() && !s.guard {
		return false, nil
	}
	generation, _ := s.tool.generation()
	if generation != "" && generation == s.seen && time.Since(s.seenAt) < deepAfter {
		return false, nil
	}
	now, err := s.tool.read(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot check %s packet filter rules: %w", s.name, err)
	}
	if s.renamed != nil && s.renamed(now) || !sameChains(s.written, now.own()) || !now.inPlace(now.jumps(s.want, s.guard)) {
		return true, nil
	}
	s.see(generation)
	return false, nil
}

// publish makes an endpoint's chain hold the rules, or go if there are none. done
// is false when the family has to be written as a whole.
func (s *stack) publish(ctx context.Context, chain string, rules []string) (done bool) {
	old := s.want.Published[chain]
	if s.applied && slices.Equal(old, rules) {
		return true
	}
	last := len(rules) == 0 && len(s.want.Published) == 1 && len(s.want.Isolate) == 0
	if !s.applied || len(s.want.Pre) == 0 || last {
		return false
	}
	text := publishText(chain, rules, len(old) == 0)
	if len(rules) == 0 {
		text = unpublishText(chain)
	}
	if err := s.tool.restore(ctx, text); err != nil {
		s.log.Debug("cannot change one chain, writing all", "chain", chain, "err", err)
		return false
	}
	const pre = "nat " + preChain
	jump := "-j " + chain
	s.written[pre] = slices.DeleteFunc(slices.Clone(s.written[pre]), func(r string) bool { return len(rules) == 0 && r == jump })
	if len(rules) == 0 {
		delete(s.want.Published, chain)
		delete(s.written, "nat "+chain)
		return true
	}
	if len(old) == 0 {
		s.written[pre] = append(s.written[pre], jump)
	}
	s.want.Published[chain] = rules
	s.written["nat "+chain] = rules
	return true
}
