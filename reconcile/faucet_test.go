// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

// What changes while a pass is under way is not taken back by it.
func TestPassSeesWhatChangesMeanwhile(t *testing.T) {
	h, _, e := guarded(t)
	ep := attach(t, e, endpoint(1, 1))
	h.held[ep.ID] = true
	h.meanwhile = func(ctx context.Context) {
		if err := e.label(ctx, ep.ID, nil); err != nil {
			t.Error(err)
		}
	}
	passes(t, e)
	if stored := h.ports[ep.ID]; !h.up[ep.ID] || stored.Held || !stored.Labelled {
		t.Errorf("up %v, stored %+v", h.up[ep.ID], stored)
	}
}

func TestNothingPassesBeforeLabelsAreKnown(t *testing.T) {
	h, _, e := guarded(t)
	ep := attach(t, e, endpoint(1, 1))
	if h.up[ep.ID] || !ep.Held {
		t.Fatal("it passes before its labels are known")
	}
	attached(t, e, ep, nil)
	if !h.up[ep.ID] || h.ports[ep.ID].Held {
		t.Error("it does not pass, with the default in force")
	}
	if len(h.nudged) > 0 {
		t.Error("Faucet was made to forget a port that it had right")
	}
	if got := e.Names().Containers[ep.ID]; got != "box" {
		t.Errorf("container %q", got)
	}
}

func TestLabelWaitsForItsACL(t *testing.T) {
	h, c, e := guarded(t)
	ep := attach(t, e, endpoint(1, 1))
	h.flows[ep.OFPort] = 3 // Faucet's, of the default
	attached(t, e, ep, map[string]string{"dovesnap.faucet.portacl": "strict"})
	if h.up[ep.ID] || !slices.Equal(h.nudged, []spec.EndpointID{ep.ID}) {
		t.Fatalf("up %v, nudged %v", h.up[ep.ID], h.nudged)
	}
	c.confirm()
	settled(t, e)
	if h.up[ep.ID] {
		t.Fatal("it passes while the switch has flows for its port")
	}
	inLoop(t, e, func() { delete(h.flows, ep.OFPort) })
	settled(t, e)
	if !h.up[ep.ID] || h.ports[ep.ID].ACL != "strict" {
		t.Errorf("up %v, stored %+v", h.up[ep.ID], h.ports[ep.ID])
	}
	for range maxAsks + 2 {
		if err := e.do(within(t), func(ctx context.Context) error { e.ask(ctx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(h.resolved); got < 1 || got > maxAsks || len(e.asked) != 0 {
		t.Errorf("the gateway has asked for it %d times", got)
	}
	// The next container does not get its port while the ACL may be in force there.
	if err := e.DeleteEndpoint(within(t), ep.ID); err != nil {
		t.Fatal(err)
	}
	if next := attach(t, e, endpoint(1, 2)); next.OFPort == ep.OFPort {
		t.Error("a port was given away under the last one's ACL")
	}
	c.confirm()
	if next := attach(t, e, endpoint(1, 3)); next.OFPort != ep.OFPort {
		t.Errorf("port %d was not given again, but %d", ep.OFPort, next.OFPort)
	}
}

// Whoever takes a network's datapath id in Faucet has a say in what its bridge passes,
// and knows nothing of our ACLs.
func TestDatapathIDTaken(t *testing.T) {
	h, c, e := guarded(t)
	ep := attach(t, e, endpoint(1, 1))
	attached(t, e, ep, map[string]string{"dovesnap.faucet.portacl": "strict"})
	c.confirm()
	settled(t, e)
	if !h.up[ep.ID] {
		t.Fatal("it does not pass")
	}
	set := func(taken bool) {
		c.mu.Lock()
		c.taken = taken
		c.mu.Unlock()
		c.confirm()
		settled(t, e)
		passes(t, e)
	}
	set(true)
	if h.up[ep.ID] {
		t.Error("it passes by somebody else's rules")
	}
	set(false)
	if !h.up[ep.ID] {
		t.Error("it is held for ever")
	}
}

func TestWantedOFPort(t *testing.T) {
	h, e, first := withNetworkAndEndpoint(t)
	ep := endpoint(1, 2)
	ep.OFPort = 7
	if ep = attach(t, e, ep); ep.OFPort != 7 {
		t.Errorf("OF port %d", ep.OFPort)
	}
	clash := endpoint(1, 3)
	clash.OFPort = first.OFPort
	if _, err := e.CreateEndpoint(within(t), clash); err == nil || !strings.Contains(err.Error(), "belongs to endpoint "+`"`+first.ID.Short()) {
		t.Errorf("one of ours: %v", err)
	}
	h.taken[5] = true
	clash.OFPort = 5
	before := h.String()
	if _, err := e.CreateEndpoint(within(t), clash); err == nil || !strings.Contains(err.Error(), "is somebody else's") {
		t.Errorf("a foreign port's: %v", err)
	}
	if diff := cmp.Diff(before, h.String()); diff != "" {
		t.Errorf("left by the refusal: %s", diff)
	}
}

func TestNetworkThatFaucetWouldRefuse(t *testing.T) {
	h, c := newHost(), newController()
	e, stop := startWith(t, h, Config{BootID: "boot", Labels: true, Faucet: c})
	t.Cleanup(stop)
	c.refuse = errors.New("dp_id 1 is somebody's")
	if err := e.CreateNetwork(within(t), natNetwork(1)); !errors.Is(err, c.refuse) || h.String() != "" {
		t.Errorf("%v, host:\n%s", err, h)
	}
}

// A new daemon knows the names, and who is let through stays so.
func TestFaucetOverARestart(t *testing.T) {
	h, c := newHost(), newController()
	e, stop := startWith(t, h, Config{BootID: "boot", Labels: true, Faucet: c})
	n := natNetwork(1)
	n.Controllers = []spec.Controller{"tcp:127.0.0.1"}
	if err := e.CreateNetwork(within(t), n); err != nil {
		t.Fatal(err)
	}
	if err := e.Named(within(t), n.ID, "net"); err != nil {
		t.Fatal(err)
	}
	c.confirm()
	through, held := attach(t, e, endpoint(1, 1)), attach(t, e, endpoint(1, 2))
	attached(t, e, through, map[string]string{"dovesnap.faucet.portacl": "strict"})
	c.confirm()
	settled(t, e)
	stop()
	h.foreign = map[spec.NetworkID][]spec.ForeignPort{n.ID: {{Name: "tap0", OFPort: 9}}}

	again := newController()
	for p, acls := range c.wanted { // all that the first one may have left in force
		again.force[p] = []string{"", acls}
	}
	e, stop = startWith(t, h, Config{BootID: "boot", Labels: true, Faucet: again})
	t.Cleanup(stop)
	if !h.up[through.ID] || h.up[held.ID] {
		t.Errorf("up: %v", h.up)
	}
	if !slices.Equal(again.names, []string{"net"}) || again.wanted["net/1"] != "strict" || !reflect.DeepEqual(again.foreign, h.foreign) {
		t.Errorf("wants %v %v %v", again.names, again.wanted, again.foreign)
	}
	v := viewOf(e.State(), h)
	d := v.Networks[n.ID]
	d.Name = "net"
	ep := d.Endpoints[held.ID]
	ep.Labelled = true
	d.Endpoints[held.ID] = ep
	v.Networks[n.ID] = d
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	again.confirm()
	settled(t, e)
	if !h.up[held.ID] {
		t.Error("what a view said of labels let nobody through")
	}
}

// A bridge that Faucet has just come to know tries again at once, but not for ever,
// and not when Faucet has set it up.
func TestIntroduction(t *testing.T) {
	h, c, e := guarded(t)
	count := func() (n int) {
		inLoop(t, e, func() {
			for _, line := range h.log {
				if line == "controllers br1 anew" {
					n++
				}
			}
		})
		return n
	}
	for range 2 {
		settled(t, e)
	}
	if got := count(); got == 0 || got > maxNudges {
		t.Errorf("told %d times to try again", got)
	}
	before := count()
	inLoop(t, e, func() { h.heard = map[spec.OFPort]bool{1: true} })
	for range maxNudges + 1 {
		c.confirm()
		settled(t, e)
	}
	if got := count(); got != before {
		t.Errorf("told %d times to try again after Faucet had set it up", got-before)
	}
}
