// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

// controller is a fake of Faucet and of what brings it its configuration. What the
// engine wants is in force when the test says so.
type controller struct {
	mu        sync.Mutex
	wanted    map[string]string   // port → ACLs
	force     map[string][]string // port → what may be in force
	unknown   string              // an ACL that nobody defined
	refuse    error               // of every network
	taken     bool                // somebody else has the datapath id
	foreign   map[spec.NetworkID][]spec.ForeignPort
	names     []string
	confirmed bool
	changed   chan struct{}
}

func newController() *controller {
	return &controller{wanted: map[string]string{}, force: map[string][]string{}, changed: make(chan struct{}, 1)}
}

func portOf(n spec.Network, p spec.OFPort) string { return fmt.Sprintf("%s/%d", n.Name, p) }

func (c *controller) Admit(spec.Network) error { return c.refuse }

func (c *controller) Want(s spec.State, foreign map[spec.NetworkID][]spec.ForeignPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted, c.foreign, c.names = map[string]string{}, foreign, nil
	for _, n := range s.SortedNetworks() {
		c.names = append(c.names, n.Name)
		for p := spec.OFPort(1); p < 10; p++ {
			c.wanted[portOf(n, p)] = strings.Join(n.DefaultACL.For(n.Name), ",")
		}
		for _, ep := range s.EndpointsOf(n.ID) {
			c.wanted[portOf(n, ep.OFPort)] = strings.Join(ep.ACLs(n), ",")
		}
	}
	for p, acls := range c.wanted {
		if !slices.Contains(c.force[p], acls) && c.force[p] != nil {
			c.force[p] = append(c.force[p], acls)
		}
	}
}

func (c *controller) Settled(n spec.Network, ep spec.Endpoint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, acls := range c.force[portOf(n, ep.OFPort)] {
		if acls != strings.Join(ep.ACLs(n), ",") {
			return false
		}
	}
	return true
}

func (c *controller) Refused(n spec.Network, ep spec.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.taken:
		return errors.New("its datapath id is another's")
	case slices.Contains(ep.ACLs(n), c.unknown):
		return errors.New("no such ACL")
	}
	return nil
}

func (c *controller) Taken(spec.Network) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken
}

func (c *controller) Confirmed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirmed
}

func (c *controller) Changed() <-chan struct{} { return c.changed }

// confirm puts in force what is wanted, and nothing else any more.
func (c *controller) confirm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.force, c.confirmed = map[string][]string{}, true
	for p, acls := range c.wanted {
		c.force[p] = []string{acls}
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// guarded returns an engine with a network that Faucet knows as "net", whose
// default ACL is in force on every port.
func guarded(t *testing.T) (*host, *controller, *Engine) {
	t.Helper()
	h, c := newHost(), newController()
	e, stop := startGuarded(t, h, c)
	t.Cleanup(stop)
	guard(t, c, e)
	return h, c, e
}

func startGuarded(t *testing.T, h *host, c *controller) (*Engine, func()) {
	t.Helper()
	return startWith(t, h, Config{BootID: "boot", Labels: true, Faucet: c})
}

func guard(t *testing.T, c *controller, e *Engine) {
	t.Helper()
	n := natNetwork(1)
	n.Controllers, n.DefaultACL = []spec.Controller{"tcp:127.0.0.1"}, "open"
	if err := e.CreateNetwork(within(t), n); err != nil {
		t.Fatal(err)
	}
	if err := e.Named(within(t), n.ID, "net"); err != nil {
		t.Fatal(err)
	}
	c.confirm()
}

// attach makes an endpoint and reports whether it passes at once.
func attach(t *testing.T, e *Engine, ep spec.Endpoint) spec.Endpoint {
	t.Helper()
	ep, err := e.CreateEndpoint(within(t), ep)
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

func attached(t *testing.T, e *Engine, ep spec.Endpoint, labels map[string]string) {
	t.Helper()
	if err := e.Attached(within(t), ep.Network, ep.ID, "box", labels); err != nil {
		t.Fatal(err)
	}
}

// settled waits until the engine has taken what Faucet said.
func settled(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.do(within(t), func(ctx context.Context) error { e.release(ctx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func passes(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.do(within(t), func(ctx context.Context) error { e.pass(ctx); return nil }); err != nil {
		t.Fatal(err)
	}
}

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
	delete(h.flows, ep.OFPort)
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

// A driver-opt is for one network, and a label that says another's name in other
// capitals is a slip: neither leaves a container with the default.
func TestOtherCapitals(t *testing.T) {
	h, c, e := guarded(t)
	for _, acl := range []spec.Expr{"Net:strict", "elsewhere:strict"} {
		ep := endpoint(1, 1)
		ep.ACL = acl
		if _, err := e.CreateEndpoint(within(t), ep); err == nil || !strings.Contains(err.Error(), "leave the network's name out") {
			t.Errorf("driver-opt %s: %v", acl, err)
		}
	}
	ep := attach(t, e, endpoint(1, 2))
	attached(t, e, ep, map[string]string{"dovesnap.faucet.portacl": "lax/NET:strict"})
	c.confirm()
	settled(t, e)
	if problem := e.Problems()[SubjectEndpoint(ep.ID)]; h.up[ep.ID] || !strings.Contains(problem, `there is no network "NET", but "net"`) {
		t.Errorf("up %v, problem %q", h.up[ep.ID], problem)
	}
	other := attach(t, e, endpoint(1, 3))
	attached(t, e, other, map[string]string{"dovesnap.faucet.portacl": "elsewhere:strict"})
	c.confirm()
	settled(t, e)
	if !h.up[other.ID] {
		t.Error("what is for other networks holds it here")
	}
}

// A prefix that leaves a byte makes the same of two addresses. Of one address, the
// container that had it may not be gone yet.
func TestLongMACPrefix(t *testing.T) {
	h, _, e := guarded(t)
	for i, tt := range []struct{ address, want string }{
		{"172.12.0.4/16", ""}, {"172.12.1.4/16", "0e:aa:bb:cc:dd:04"}, {"172.12.0.4/16", ""},
	} {
		ep := endpoint(1, i+1)
		ep.MAC, ep.MACPrefix, ep.Addresses = "", "0e:aa:bb:cc:dd", []netip.Prefix{netip.MustParsePrefix(tt.address)}
		_, err := e.CreateEndpoint(within(t), ep)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.address, err)
		}
		h.held[ep.ID] = true
	}
}

func TestDriverOptNeedsNoLabels(t *testing.T) {
	h, c, e := guarded(t)
	ep := endpoint(1, 1)
	ep.ACL = "strict"
	ep = attach(t, e, ep)
	if h.up[ep.ID] {
		t.Fatal("it passes before its ACL is in force")
	}
	c.confirm()
	settled(t, e)
	if !h.up[ep.ID] {
		t.Error("it does not pass")
	}
	attached(t, e, ep, map[string]string{"dovesnap.faucet.portacl": "lax"})
	if got := h.ports[ep.ID]; got.ACL != "strict" || !got.Labelled {
		t.Errorf("the label won: %+v", got)
	}
}

// Status says what is wrong with a label, and nothing passes where that may be its
// ACL.
func TestWrongLabels(t *testing.T) {
	for _, tt := range []struct {
		key, value, want string
		passes           bool
	}{
		{"dovesnap.faucet.portacl", "a b", "is not the name of an ACL", false},
		{"dovesnap.faucet.portalc", "strict", "did you mean dovesnap.faucet.portacl?", false},
		{"dovesnap.faucet.portacl", "nobody", "", false}, // Faucet's side says it
		{"dovesnap.faucet.mac_prefix", "01", "multicast", true},
		{"dovesnap.faucet.mirror", "true", "not available yet", true},
	} {
		t.Run(tt.value, func(t *testing.T) {
			h, c := newHost(), newController()
			e, stop := startGuarded(t, h, c)
			defer stop()
			guard(t, c, e)
			c.unknown = "nobody"
			ep := attach(t, e, endpoint(1, 1))
			h.held[ep.ID] = true
			attached(t, e, ep, map[string]string{tt.key: tt.value})
			c.confirm()
			settled(t, e)
			passes(t, e)
			if problem := e.Problems()[SubjectEndpoint(ep.ID)]; h.up[ep.ID] != tt.passes || !strings.Contains(problem, tt.want) || tt.want == "" && problem != "" {
				t.Errorf("up %v, problem %q", h.up[ep.ID], problem)
			}
			stop()
			e, stop = startGuarded(t, h, c) // it is as wrong for another
			defer stop()
			settled(t, e)
			if h.up[ep.ID] != tt.passes {
				t.Errorf("after a restart: up %v", h.up[ep.ID])
			}
			attached(t, e, ep, map[string]string{tt.key: tt.value})
			settled(t, e)
			if problem := e.Problems()[SubjectEndpoint(ep.ID)]; h.up[ep.ID] != tt.passes || !tt.passes && !strings.Contains(problem, tt.want) {
				t.Errorf("told again: up %v, problem %q", h.up[ep.ID], problem)
			}
		})
	}
}

func TestMACPrefix(t *testing.T) {
	h := newHost()
	e := run(t, h, "boot")
	n := natNetwork(1)
	n.MACPrefix = "0e:99"
	if err := e.CreateNetwork(within(t), n); err != nil {
		t.Fatal(err)
	}
	ep := endpoint(1, 1)
	ep.MAC = ""
	if ep = attach(t, e, ep); !strings.HasPrefix(string(ep.MAC), "0e:99:") {
		t.Errorf("the network's prefix: %s", ep.MAC)
	}
	own := endpoint(1, 2)
	own.MAC, own.MACPrefix = "", "0a"
	if own = attach(t, e, own); !strings.HasPrefix(string(own.MAC), "0a:") {
		t.Errorf("the driver-opt's: %s", own.MAC)
	}
	attached(t, e, ep, map[string]string{"dovesnap.faucet.mac_prefix": "0e:77:66"})
	h.held[ep.ID] = true // Docker moves it into the container
	if err := e.Started(within(t), []spec.EndpointID{ep.ID, own.ID, "unknown"}); err != nil {
		t.Fatal(err)
	}
	if got := h.macs[ep.ID]; !strings.HasPrefix(string(got), "0e:77:66:") || h.ports[ep.ID].MAC != got {
		t.Errorf("the label's: link %s, stored %s", got, h.ports[ep.ID].MAC)
	}
}

// Where the operator writes faucet.yaml, nobody is held, and an ACL that is asked
// for and cannot be had is named.
func TestLabelsWithoutFaucet(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	if !h.up[ep.ID] {
		t.Fatal("held")
	}
	attached(t, e, ep, map[string]string{"dovesnap.faucet.portacl": "strict"})
	if problem := e.Problems()[SubjectEndpoint(ep.ID)]; !h.up[ep.ID] || !strings.Contains(problem, "no controller") {
		t.Errorf("up %v, problem %q", h.up[ep.ID], problem)
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
		for _, line := range h.log {
			if line == "controllers br1 anew" {
				n++
			}
		}
		return n
	}
	for range 2 {
		settled(t, e)
	}
	if got := count(); got == 0 || got > maxNudges {
		t.Errorf("told %d times to try again", got)
	}
	before := count()
	h.heard = map[spec.OFPort]bool{1: true}
	for range maxNudges + 1 {
		c.confirm()
		settled(t, e)
	}
	if got := count(); got != before {
		t.Errorf("told %d times to try again after Faucet had set it up", got-before)
	}
}
