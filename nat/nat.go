// SPDX-License-Identifier: Apache-2.0

// Package nat makes the host's packet filter what the networks need: what may be
// forwarded to and from their bridges, what leaves the host under the host's own
// address, which of the host's ports lead to a container, and what reaches the
// host other than through a bridge. Ports reserves those ports.
//
// Render is pure: networks and endpoints in, text out. A Table applies it, in
// chains of our own (DOVESNAP-*) that are replaced whole, and in one jump to each
// from a chain of Docker's or the kernel's. Apply can be called again at any
// moment; without networks it leaves no trace, but that a table it was the first
// to use stays, empty. Publish and Unpublish touch one endpoint's chain only.
//
// Be aware:
//   - Policies, foreign chains and foreign rules are never touched, and other
//     programs' rules for our networks are theirs to keep: a rule of the user's
//     in DOCKER-USER, or anything that runs before our jump, wins.
//   - iptables has two flavours with separate rules, and the packet has to pass
//     both. Ours go where Docker's are.
//   - An accept here is final for iptables only. It does not override a drop in
//     a native nftables table. firewalld, where it runs, is therefore told that
//     our bridges are in a zone of ours that accepts.
//   - What a container of ours sends is accepted wherever it goes, except from a
//     nat network to our other nat networks and to Docker's bridges.
//   - Published ports are not reached at ::1, only at 127.0.0.1.
//   - The host's own IP hears nothing on an uplink, nor on any interface whose
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
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"dovesnap/spec"

	"github.com/coreos/go-iptables/iptables"
)

// Table applies rules to the host. One goroutine at a time may use it.
type Table struct {
	v4, v6  *stack
	log     *slog.Logger
	sysctls sysctls
	zone    *zone
	repairs repairs

	known     bool                              // Apply has said what there is
	nets      []spec.Network                    // of the last Apply
	endpoints map[spec.EndpointID]spec.Endpoint // those with published ports
	links     Links
	asked     bool     // Docker has said which bridges it has
	heard     []string // all of them
	told      []string // those with a chosen name, sorted
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
	t := &Table{log: log, zone: newZone(log), repairs: repairs{now: time.Now}, endpoints: map[spec.EndpointID]spec.Endpoint{}}
	t.v4 = &stack{log: log, name: "IPv4", command: "iptables", sysctl: ipForward, in: netip.Addr.Is4, sysctls: &t.sysctls}
	t.v6 = &stack{log: log, name: "IPv6", command: "ip6tables", sysctl: ipv6Forwarding, in: netip.Addr.Is6, sysctls: &t.sysctls}
	t.v4.renamed = func(now saved) bool {
		return len(t.v4.want.Isolate) > 0 && !slices.Equal(t.dockers(now), t.links.Docker)
	}
	t.v4.use(found4, legacy)
	t.v6.use(found6, legacy)
	log.Debug("iptables chosen", "path", t.v4.tool.path, "legacy", legacy)
	return t, nil
}

// Close ends the connection to firewalld. The rules stay.
func (t *Table) Close() { t.zone.close() }

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

// Apply makes our chains and jumps what the networks and their endpoints'
// published ports need; without any, all of it goes. A family that fails does
// not keep the other from being applied.
func (t *Table) Apply(ctx context.Context, nets []spec.Network, endpoints []spec.Endpoint) error {
	t.nets, t.known = slices.Clone(nets), true
	clear(t.endpoints)
	for _, e := range endpoints {
		if len(e.Published) > 0 {
			t.endpoints[e.ID] = e
		}
	}
	// First, since firewalld reads its configuration again when the zone is new, and
	// flushes everybody's rules then.
	zoneErr := t.zone.apply(ctx, nets)
	found4 := t.look(ctx, nets)
	published := slices.Collect(maps.Values(t.endpoints))
	rules := Render(nets, published, t.links)
	wrote4, err4 := t.v4.apply(ctx, rules.V4, found4)
	wrote6, err6 := t.v6.apply(ctx, rules.V6, nil)
	if wrote4 || wrote6 {
		t.dropFlows(ctx, nil, publishedBy(published))
	}
	return joined(err4, err6, t.applySettings(), zoneErr)
}

// Check reports whether somebody has changed our chains or jumps since Apply, or
// Apply has yet to succeed. It only reads; when nothing was changed on the host,
// by anybody, that takes microseconds. An error says that it was changed again and
// again, and that the repair has to wait.
func (t *Table) Check(ctx context.Context) (changed bool, err error) {
	if !t.v4.applied || !t.v6.applied {
		return true, nil
	}
	changed = t.zone.stale() || !t.settled() || t.linked()
	for _, s := range []*stack{t.v4, t.v6} {
		if changed {
			break
		}
		if changed, err = s.changed(ctx); err != nil {
			return changed, err
		}
	}
	if !changed {
		return false, nil
	}
	return true, t.repairs.allow()
}

// linked reports whether links have come or gone that the rules name.
func (t *Table) linked() bool {
	if len(t.v4.want.Isolate)+len(t.v6.want.Isolate) == 0 {
		return false
	}
	others, err := notDockers(t.links.Docker)
	return err == nil && !slices.Equal(others, t.links.Others)
}

// look finds the links that the rules must name; what cannot be read now is as it
// was. It looks at iptables in one family: Docker has a network's bridge in IPv4's,
// also where that has IPv6; what is in neither, Docker itself tells: KnowDocker. It
// returns what it read there, if anything.
func (t *Table) look(ctx context.Context, nets []spec.Network) *listing {
	if !slices.ContainsFunc(nets, func(n spec.Network) bool { return n.Mode == spec.NAT }) {
		return nil
	}
	found, err := t.v4.read(ctx)
	if err == nil {
		t.links.Docker = t.dockers(found.rules)
	}
	if others, err := notDockers(t.links.Docker); err == nil {
		t.links.Others = others
	} else {
		t.log.Warn("cannot list the host's addresses", "err", err)
	}
	if err != nil {
		return nil // apply will say so
	}
	return &found
}

// settings returns what the kernel's settings should be.
func (t *Table) settings() []setting {
	return settings(t.nets, slices.Collect(maps.Values(t.endpoints)))
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
