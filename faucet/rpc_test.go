// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/spec"
)

const serversFile = `acls: {office: [{rule: {actions: {allow: 1}}}], hosts: [{rule: {actions: {allow: 1}}}]}
dps:
  phys: {dp_id: 9, interfaces: {1: {native_vlan: 100}}}
  other: {dp_id: 10, description: "dovesnap host2: bridge dsb0", interface_ranges: {1-64: {native_vlan: 100}}}
vlans:
  300: {description: dovesnap host2, acls_out: [hosts]}
`

// startRPC runs a Courier against a fake.
func startRPC(t *testing.T, s *fakeServer, state string) (c *Courier, stop func()) {
	t.Helper()
	c = newCourier(newRPCBackend(s, "host1", "faucet.yaml at fake", newMetrics(s.metrics.URL)), "host1", state, quiet())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return c, stop
}

func TestRPC(t *testing.T) {
	s := newFakeServer(t, serversFile)
	state1 := filepath.Join(t.TempDir(), "state")
	c, stop := startRPC(t, s, state1)
	a := network("a", func(n *spec.Network) { n.VLANOutACL = "included" })
	b := network("b", func(n *spec.Network) { n.Preallocate, n.VLAN = number(0), 200 })
	own := container(a, 2, acl("office"))
	c.Want(state([]spec.Network{a, b}, own, container(b, 1, nil)), nil)
	await(t, "confirmation", c, confirmed(c))
	golden(t, "testdata/rpc.yaml", s.file())
	if !c.Settled(a, own) || len(c.Problems()) > 0 {
		t.Error("not settled, or", c.Problems())
	}

	// The range grows, and one port is not an endpoint's any more.
	c.Want(state([]spec.Network{a, b}, container(a, 65, nil)), nil)
	await(t, "confirmation", c, func() bool { return c.Status().Confirmed && strings.Contains(s.file(), "1-128:") })
	for _, gone := range []string{"1-64:\n        native_vlan: 100\n        acls_in", "        2:", "endpoint"} {
		if strings.Contains(s.file(), gone) {
			t.Errorf("%q is still there: %s", gone, s.file())
		}
	}

	// Without dovesnap, one network goes and one comes with its datapath id.
	stop()
	writes := s.writes
	d := network("d", func(n *spec.Network) { n.DPID = a.DPID })
	c, _ = startRPC(t, s, state1)
	c.Want(state([]spec.Network{b, d}), nil)
	await(t, "confirmation", c, confirmed(c))
	golden(t, "testdata/rpc-later.yaml", s.file())
	if n := s.writes - writes; n != 3 { // remove a, add d, clear VLAN 100
		t.Errorf("%d changes", n)
	}
	c.Want(spec.NewState(), nil)
	await(t, "the end", c, func() bool { return c.Status().Confirmed && !strings.Contains(s.file(), "host1: ") })
	for _, stays := range []string{"phys:", "other:", "host2"} {
		if !strings.Contains(s.file(), stays) {
			t.Errorf("%q is gone", stays)
		}
	}
}

func TestRPCRefusal(t *testing.T) {
	s := newFakeServer(t, serversFile)
	s.set(func(s *fakeServer) { s.refuse["net-b"] = "DP net-b: no" })
	c, _ := startRPC(t, s, "")
	a, b := network("a", nil), network("b", nil)
	ea, eb := container(a, 1, acl("office")), container(b, 1, acl("office"))
	c.Want(state([]spec.Network{a, b}, ea, eb), nil)
	await(t, "the refusal", c, func() bool {
		return strings.HasPrefix(c.Problems()["faucet"], `cannot add "net-b" in Faucet's configuration: `) && strings.HasSuffix(c.Problems()["faucet"], "DP net-b: no")
	})
	await(t, "the other network", c, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(s.file(), "net-a") && len(c.force.versions) == 1 // Faucet has it
	})
	if !c.Settled(a, ea) {
		t.Error("the other network is not settled")
	}
	if st := c.Status(); st.Delivered || st.Confirmed {
		t.Errorf("%+v", st)
	}
	s.set(func(s *fakeServer) { delete(s.refuse, "net-b") })
	await(t, "recovery", c, confirmed(c))
	if !c.Settled(b, eb) {
		t.Error("not settled")
	}
}

func TestRPCDown(t *testing.T) {
	s := newFakeServer(t, serversFile)
	s.set(func(s *fakeServer) { s.down = true })
	c, _ := startRPC(t, s, "")
	n := network("a", nil)
	e := container(n, 1, nil)
	c.Want(state([]spec.Network{n}, e), nil)
	await(t, "the problem", c, func() bool { return strings.HasPrefix(c.Problems()["faucet"], "the fake is down: ") })
	if c.Settled(n, e) {
		t.Error("settled, though nothing is known")
	}
	if err := c.Admit(network("b", nil)); err != nil {
		t.Error(err)
	}
	if err := c.Admit(network("b", func(n *spec.Network) { n.DefaultACL = "office" })); err == nil {
		t.Error("an ACL that nobody can know of was admitted")
	}
	s.set(func(s *fakeServer) { s.down = false })
	await(t, "delivery", c, confirmed(c))
	s.set(func(s *fakeServer) { s.down = true })
	if err := c.Admit(network("b", func(n *spec.Network) { n.DefaultACL = "office" })); err != nil {
		t.Error("what was known is forgotten:", err)
	}
	e = container(n, 2, acl("office"))
	c.Want(state([]spec.Network{n}, e), nil)
	await(t, "the problem", c, func() bool { return c.Problems()["faucet"] != "" })
	if c.Settled(n, e) {
		t.Error("settled, without the server")
	}
	// It comes back, but its answers are lost at first.
	s.set(func(s *fakeServer) { s.down, s.mute = false, true })
	await(t, "the change", c, func() bool {
		return strings.Contains(s.file(), "office\n        ") || strings.Contains(s.file(), "endpoint")
	})
	s.set(func(s *fakeServer) { s.mute = false })
	await(t, "confirmation", c, func() bool { return c.Status().Confirmed && c.Settled(n, e) })
}

func TestRPCClashes(t *testing.T) {
	s := newFakeServer(t, serversFile)
	c, _ := startRPC(t, s, "")
	nets := []spec.Network{
		network("a", func(n *spec.Network) { n.Name = "other" }), network("b", func(n *spec.Network) { n.DPID = 9 }),
		network("c", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "hosts", 300 }),    // as host2 has it
		network("d", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "included", 300 }), // not so
	}
	c.Want(state(nets), nil)
	await(t, "confirmation", c, confirmed(c))
	for subject, want := range map[string]string{
		`network "other"`: "faucet.yaml at fake has a datapath of that name",
		`network "net-b"`: `its datapath id 0x9 is that of "phys" in faucet.yaml at fake`,
		`network "net-d"`: `has VLAN 300 itself, as "300"`,
	} {
		if got := c.Problems()[subject]; !strings.Contains(got, want) {
			t.Errorf("%s: %q", subject, got)
		}
	}
	if !strings.Contains(s.file(), "net-c:") || len(c.Problems()) != 3 {
		t.Error(c.Problems(), s.file())
	}
	if e := container(nets[2], 1, nil); !c.Settled(nets[2], e) {
		t.Error("not settled on a VLAN that others define")
	}
}

// TestRPCEditedByHand gives the file a hash that nobody can compute from what the
// server says of it.
func TestRPCEditedByHand(t *testing.T) {
	s := newFakeServer(t, "# by hand\n"+serversFile)
	c, _ := startRPC(t, s, "")
	n := network("a", nil)
	c.Want(state([]spec.Network{n}), nil)
	await(t, "confirmation", c, confirmed(c))
	s.set(func(s *fakeServer) { s.text = "# by hand\n" + s.text })
	c.loopIdle(t)
	await(t, "confirmation", c, func() bool { return c.Status().Confirmed && !strings.Contains(s.file(), "by hand") })
}

// loopIdle waits until the Courier has asked Faucet anew.
func (c *Courier) loopIdle(t *testing.T) {
	t.Helper()
	await(t, "the next question", c, func() bool { return !c.Status().Confirmed })
}

func TestRPCFromNothing(t *testing.T) {
	s := newFakeServer(t, "dps:\ninclude: [acls.yaml]\n")
	c, _ := startRPC(t, s, "")
	if err := c.Admit(network("a", func(n *spec.Network) { n.DefaultACL = "perhaps-included" })); err != nil {
		t.Error("refused, though nobody can know:", err)
	}
	n := network("123", nil)
	e := container(n, 1, nil)
	c.Want(state([]spec.Network{n}, e), nil)
	await(t, "confirmation", c, confirmed(c))
	if !c.Settled(n, e) {
		t.Error("not settled")
	}
	if err := c.Admit(network("a", func(n *spec.Network) { n.DefaultACL = "nope/x:included" })); err == nil || strings.Contains(err.Error(), `"included"`) {
		t.Error(err)
	}
	c.Want(spec.NewState(), nil)
	await(t, "the end", c, func() bool { return c.Status().Delivered && !strings.Contains(s.file(), "host1") })
}

// A server's Faucet that runs here can be told, as with a file of ours.
func TestRPCTellsFaucet(t *testing.T) {
	r := newRPCBackend(newFakeServer(t, serversFile), "host1", "fake", newMetrics(""))
	if err := r.tell(t.Context()); err != nil {
		t.Errorf("one that watches: %v", err)
	}
	r.reload = "pidfile:" + filepath.Join(t.TempDir(), "none")
	for range 3 {
		if err := r.tell(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot find Faucet's process") {
			t.Errorf("it is not told: %v", err)
		}
	}
}
