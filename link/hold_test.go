// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

// A held endpoint's host end is down, whoever set it up, and up when it is let
// through.
func TestHeldEndpointIsDown(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	up := func() bool { return byName(t, spec.HostLink(e.ID)).Attrs().Flags&net.FlagUp != 0 }
	e.Held = true
	must(t, l.EnsureVeth(ctx, n, e, false))
	if up() {
		t.Fatal("made up")
	}
	before := lookAll(t)
	must(t, l.EnsureVeth(ctx, n, e, false))
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("the second time changed:", diff)
	}
	e.Held = false
	must(t, l.EnsureVeth(ctx, n, e, false))
	if v := sysctl(t, spec.HostLink(e.ID), "disable_ipv6"); !up() || v != "1" {
		t.Errorf("let through: up %v, disable_ipv6 %s", up(), v)
	}
	e.Held = true
	must(t, l.EnsureVeth(ctx, n, e, false))
	if up() {
		t.Error("held again, and still up")
	}
}

// What a nudge changes, EnsureVeth brings back.
func TestNudge(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	must(t, l.Nudge(ctx, e.ID)) // there is no such link
	must(t, l.EnsureVeth(ctx, n, e, false))
	before := lookAll(t)
	for range 2 {
		mac := byName(t, spec.HostLink(e.ID)).Attrs().HardwareAddr.String()
		must(t, l.Nudge(ctx, e.ID))
		if byName(t, spec.HostLink(e.ID)).Attrs().HardwareAddr.String() == mac {
			t.Error("nothing changed")
		}
	}
	must(t, l.Nudge(ctx, e.ID))
	must(t, l.EnsureVeth(ctx, n, e, false))
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("not brought back:", diff)
	}
	addVeth(t, "dsvaaaaaaaaaaaa", "other")
	wantError(t, l.Nudge(ctx, "aaaaaaaaaaaa"), "is not dovesnap's")
}
