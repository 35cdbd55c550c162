// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"dovesnap/spec"
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

// inLoop runs f when the engine does nothing else: what it hears of Faucet moves it at
// any time.
func inLoop(t *testing.T, e *Engine, f func()) {
	t.Helper()
	if err := e.do(within(t), func(context.Context) error { f(); return nil }); err != nil {
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
