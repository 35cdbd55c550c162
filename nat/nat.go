// SPDX-License-Identifier: Apache-2.0

// Package nat makes the host's packet filter what the networks need: what may be
// forwarded to and from their bridges, what leaves the host under the host's own
// address, and what reaches the host other than through a bridge.
//
// Render is pure: networks in, text out. A Table applies it, in chains of our
// own (DOVESNAP-*) that are replaced whole, and in one jump to each from a chain
// of Docker's or the kernel's. Apply can be called again at any moment; without
// networks it leaves no trace, but that a table it was the first to use stays,
// empty.
//
// Be aware:
//   - Policies, foreign chains and foreign rules are never touched, and other
//     programs' rules for our networks are theirs to keep: a rule of the user's
//     in DOCKER-USER, or anything that runs before our jump, wins.
//   - iptables has two flavours with separate rules, and the packet has to pass
//     both. Ours go where Docker's are.
//   - An accept here is final for iptables only. It does not override a drop in
//     a native nftables table (firewalld's, Docker 29's nftables backend).
//   - What a container of ours sends is accepted wherever it goes, our other
//     networks excepted. Docker before 28 protects its bridges by FORWARD's
//     policy alone, which an accept passes by: containers of ours can then reach
//     unpublished ports of containers on Docker's bridges. A rule in DOCKER-USER
//     closes that.
//   - The host's own IPv4 hears nothing on an uplink, nor on any interface whose
//     name begins as those of containers' links do (dsv), whoever made it.
//   - The flavour is chosen when the Table is made. When the administrator
//     switches it, dovesnap has to be restarted; what is left in the other is
//     then removed.
package nat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"dovesnap/spec"

	"github.com/coreos/go-iptables/iptables"
)

// Table applies rules to the host. One goroutine at a time may use it.
type Table struct {
	v4, v6 *stack
}

// stack is the packet filter of one address family, and what is remembered of
// the last Apply. Forgetting it costs one needless Apply.
type stack struct {
	log     *slog.Logger
	name    string
	command string
	sysctl  string // of forwarding
	tool    *tool  // nil: not installed
	others  []*tool

	applied bool   // the last Apply succeeded
	want    Family // what it was asked for
	written string // what iptables-save printed of it
	guard   bool   // we switched forwarding on
}

// New finds the iptables programs. The flavour is "nft", "legacy", or "auto":
// the one that has Docker's chains, else the system's default. A host without
// ip6tables is fine until a network needs IPv6.
func New(ctx context.Context, log *slog.Logger, flavour string) (*Table, error) {
	return newTable(ctx, log, flavour, lockWait)
}

func newTable(ctx context.Context, log *slog.Logger, flavour string, wait time.Duration) (*Table, error) {
	found4, err := tools(ctx, "iptables", iptables.ProtocolIPv4, wait)
	if err != nil {
		return nil, err
	}
	legacy, err := choose(ctx, flavour, found4)
	if err != nil {
		return nil, err
	}
	found6, _ := tools(ctx, "ip6tables", iptables.ProtocolIPv6, wait)
	t := &Table{
		v4: &stack{log: log, name: "IPv4", command: "iptables", sysctl: ipForward},
		v6: &stack{log: log, name: "IPv6", command: "ip6tables", sysctl: ipv6Forwarding},
	}
	t.v4.use(found4, legacy)
	t.v6.use(found6, legacy)
	log.Debug("iptables chosen", "path", t.v4.tool.path, "legacy", legacy)
	return t, nil
}

// choose reports whether the flavour to use is legacy.
func choose(ctx context.Context, flavour string, found []*tool) (legacy bool, err error) {
	switch flavour {
	case "nft", "legacy":
		legacy = flavour == "legacy"
		for _, t := range found {
			if t.legacy == legacy {
				return legacy, nil
			}
		}
		return false, fmt.Errorf("cannot find iptables of flavour %q: install iptables-%s", flavour, flavour)
	case "auto":
	default:
		return false, fmt.Errorf("cannot use iptables flavour %q: it is not auto, nft or legacy", flavour)
	}
	for _, t := range found {
		s, err := t.read(ctx)
		if err != nil {
			return false, err
		}
		if s.has("nat", "DOCKER") || s.has("filter", "DOCKER-USER") {
			return t.legacy, nil
		}
	}
	return found[0].legacy, nil
}

func (s *stack) use(found []*tool, legacy bool) {
	for _, t := range found {
		if t.legacy == legacy {
			s.tool = t
		} else {
			s.others = append(s.others, t)
		}
	}
}

// Apply makes our chains and jumps what the networks need; without any, all of
// it goes. A family that fails does not keep the other from being applied.
func (t *Table) Apply(ctx context.Context, nets []spec.Network) error {
	rules := Render(nets)
	return joined(t.v4.apply(ctx, rules.V4), t.v6.apply(ctx, rules.V6))
}

func (s *stack) apply(ctx context.Context, want Family) error {
	if s.tool == nil {
		if want.empty() {
			return nil
		}
		return fmt.Errorf("cannot write %s packet filter rules: cannot find %s: install it (Debian: apt install iptables)", s.name, s.command)
	}
	if err := s.write(ctx, want); err != nil {
		s.applied = false
		return fmt.Errorf("cannot write %s packet filter rules: %w", s.name, err)
	}
	s.applied, s.want = true, want
	return nil
}

func (s *stack) write(ctx context.Context, want Family) error {
	if s.applied && !s.guard && s.want.empty() && want.empty() {
		return nil
	}
	for len(s.others) > 0 {
		guard, err := sweep(ctx, s.others[0])
		if err != nil {
			return err
		}
		s.guard = s.guard || guard
		s.others = s.others[1:]
	}
	now, err := s.tool.read(ctx)
	if err != nil {
		return err
	}
	s.guard = s.guard || now.has("filter", guardChain)
	if s.guard && !want.forwards() {
		if err := s.stopForwarding(); err != nil {
			return err
		}
	}
	jumps := now.jumps(want, s.guard)
	if s.applied && s.want.String() == want.String() && s.written == now.own() && now.inPlace(jumps) {
		return nil
	}
	// The contents before the jumps: a chain that is jumped to while it is empty
	// would be a moment without the drops.
	text := want.String()
	if s.guard {
		text += guardText
	}
	if text != "" {
		if err := s.tool.restore(ctx, text); err != nil {
			return s.explain(ctx, want, err)
		}
	}
	for _, j := range jumps {
		if err := s.tool.place(ctx, now, j); err != nil {
			return err
		}
	}
	if err := s.tool.prune(ctx, now, jumps); err != nil {
		return err
	}
	return s.remember(ctx)
}

// remember notes how the host prints what was written.
func (s *stack) remember(ctx context.Context) error {
	now, err := s.tool.read(ctx)
	if err == nil {
		s.written = now.own()
	}
	return err
}

// explain names the usual reason why address translation does not work: IPv6 has
// it only on kernels built so.
func (s *stack) explain(ctx context.Context, want Family, cause error) error {
	if len(want.Post) == 0 {
		return cause
	}
	if _, err := s.tool.rule.ListChains("nat"); err != nil && ctx.Err() == nil {
		return fmt.Errorf("this host has no %s address translation, which mode nat needs; use mode routed, or subnets of the other family: %w", s.name, cause)
	}
	return cause
}

// Check reports whether somebody has changed our chains or jumps since Apply, or
// Apply has yet to succeed. It only reads.
func (t *Table) Check(ctx context.Context) (changed bool, err error) {
	for _, s := range []*stack{t.v4, t.v6} {
		c, err := s.changed(ctx)
		if c || err != nil {
			return c, err
		}
	}
	return false, nil
}

func (s *stack) changed(ctx context.Context) (bool, error) {
	if !s.applied {
		return true, nil
	}
	if s.want.empty() {
		return false, nil
	}
	now, err := s.tool.read(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot check %s packet filter rules: %w", s.name, err)
	}
	return s.written != now.own() || !now.inPlace(now.jumps(s.want, s.guard)), nil
}

// joined makes one line of errors.
func joined(errs ...error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}
