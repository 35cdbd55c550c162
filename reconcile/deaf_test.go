// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"slices"
	"testing"

	"dovesnap/spec"
)

// A port that no controller has heard of is told again, but not for ever.
func TestUnheardPortIsToldAgain(t *testing.T) {
	h := newHost()
	e := run(t, h, "boot")
	n := natNetwork(1)
	n.Controllers = []spec.Controller{"tcp:127.0.0.1"}
	if err := e.CreateNetwork(within(t), n); err != nil {
		t.Fatal(err)
	}
	one, two := attach(t, e, endpoint(1, 1)), attach(t, e, endpoint(1, 2))
	hark := func() {
		t.Helper()
		if err := e.do(within(t), func(ctx context.Context) error { e.hark(ctx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	hark()
	if h.nudged != nil {
		t.Errorf("no controller is there, and told again: %v", h.nudged)
	}
	h.heard = map[spec.OFPort]bool{one.OFPort: true}
	for range lastNudge + 2 {
		hark()
	}
	if want := slices.Repeat([]spec.EndpointID{two.ID}, lastNudge); !slices.Equal(h.nudged, want) {
		t.Errorf("told again: %v, want %v", h.nudged, want)
	}
	h.heard[two.OFPort] = true
	hark()
	h.nudged = nil
	delete(h.heard, two.OFPort) // Faucet has been restarted
	hark()
	if !slices.Equal(h.nudged, []spec.EndpointID{two.ID}) {
		t.Errorf("told again the second time: %v", h.nudged)
	}
}
