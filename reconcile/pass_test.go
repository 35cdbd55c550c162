// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

func TestTakenPortIsPinned(t *testing.T) {
	h := newHost()
	h.taken[1] = true
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep, err := e.CreateEndpoint(ctx, endpoint(1, 1))
	if err != nil || ep.OFPort != 2 || h.ports[ep.ID].OFPort != 2 || h.veths[ep.ID].OFPort != 2 {
		t.Errorf("endpoint %+v, %v; stored %+v; alias %+v", ep, err, h.ports[ep.ID], h.veths[ep.ID])
	}
}

// Faucet's rules are about numbers: that one has changed is a problem.
func TestLostNumberIsTold(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	delete(h.ports, ep.ID)
	h.taken[ep.OFPort] = true
	if err := e.do(within(t), func(ctx context.Context) error { e.pass(ctx); return nil }); err != nil {
		t.Fatal(err)
	}
	const want = "OpenFlow port 1 is somebody else's now, so that it has 2 until its container is started again"
	if got := e.Problems()["number of "+SubjectEndpoint(ep.ID)]; got != want {
		t.Errorf("problems: %v", e.Problems())
	}
	if err := e.DeleteEndpoint(within(t), ep.ID); err != nil || len(e.Problems()) != 0 {
		t.Errorf("left: %v, %v", e.Problems(), err)
	}
}

func TestRestartKeepsAndRebootDrops(t *testing.T) {
	h := newHost()
	e, stop := start(t, h, "boot 1")
	ctx := within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateEndpoint(ctx, endpoint(1, 1)); err != nil {
		t.Fatal(err)
	}
	before := h.String()
	stop()
	h.veths[spec.EndpointID(id("f", 1))] = spec.Alias{Network: natNetwork(1).ID, Endpoint: spec.EndpointID(id("f", 1))} // a crash between link and row
	e, stop = start(t, h, "boot 1")
	if h.String() != before {
		t.Errorf("after a restart:\n%s\nbefore:\n%s", h, before)
	}
	stop()
	h.veths = map[spec.EndpointID]spec.Alias{} // links do not survive a reboot
	e = run(t, h, "boot 2")
	if s := e.State(); len(s.Endpoints) != 0 || len(s.Networks) != 1 || len(h.ports) != 0 {
		t.Errorf("after a reboot: %+v\n%s", s, h)
	}
}

func TestPassRepairs(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep, err := e.CreateEndpoint(ctx, endpoint(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	before := h.String()
	h.bridges, h.ports = map[spec.NetworkID]spec.Network{}, map[spec.EndpointID]spec.Endpoint{}
	pass := func(ctx context.Context) error { e.pass(ctx); return nil }
	if err := e.do(ctx, pass); err != nil {
		t.Fatal(err)
	}
	if h.String() != before {
		t.Errorf("after the database was wiped:\n%s\nbefore:\n%s", h, before)
	}
	delete(h.veths, ep.ID)
	if err := e.do(ctx, pass); err != nil || e.Problems()[SubjectEndpoint(ep.ID)] == "" {
		t.Errorf("a vanished link is no problem: %v %v", err, e.Problems())
	}
	h.veths[ep.ID] = spec.Alias{Network: ep.Network, Endpoint: ep.ID, OFPort: ep.OFPort}
	if err := e.do(ctx, pass); err != nil || len(e.Problems()) != 0 {
		t.Errorf("the problem stays: %v %v", err, e.Problems())
	}
}

// A port that comes up during a controller's handshake is missed by it: when a
// bridge has to be made again, its ports come before its controllers.
func TestControllersComeLast(t *testing.T) {
	h, e, _ := withNetworkAndEndpoint(t)
	for name, restore := range map[string]func() error{
		"pass": func() error {
			return e.do(within(t), func(ctx context.Context) error { e.pass(ctx); return nil })
		},
		"Docker": func() error {
			v := viewOf(e.State(), h)
			e = run(t, h, "boot")
			v.Taken = time.Now()
			return e.See(within(t), v)
		},
	} {
		h.bridges, h.ports, h.log = map[spec.NetworkID]spec.Network{}, map[spec.EndpointID]spec.Endpoint{}, nil
		h.held[endpoint(1, 1).ID] = true
		if err := restore(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(h.log, "\n")
		if port, last := strings.Index(text, "port "), strings.Index(text, "controllers "); port < 0 || last < port {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// Docker's calls do not wait for the end of a long pass.
func TestPassGivesWay(t *testing.T) {
	e, ctx := run(t, newHost(), "boot"), within(t)
	err := e.do(ctx, func(ctx context.Context) error {
		done := make(chan error, 1)
		go func() { done <- e.CreateNetwork(ctx, natNetwork(1)) }()
		for {
			e.breathe()
			select {
			case err := <-done:
				return err
			case <-ctx.Done():
				return ctx.Err()
			default:
				runtime.Gosched()
			}
		}
	})
	if err != nil || len(e.State().Networks) != 1 {
		t.Errorf("%v, %+v", err, e.State())
	}
}

// With vswitchd hanging, a pass leaves a network at the first port that it waits
// for in vain.
func TestPassWhenSwitchHangs(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := e.CreateEndpoint(ctx, endpoint(1, i)); err != nil {
			t.Fatal(err)
		}
	}
	err := e.do(ctx, func(ctx context.Context) error {
		h.hang, h.log, e.itemTimeout = true, nil, 100*time.Millisecond
		e.pass(ctx)
		h.hang = false
		return nil
	})
	if err != nil || strings.Count(strings.Join(h.log, "\n"), "port ") != 1 || len(e.Problems()) != 1 {
		t.Errorf("%v; problems %v; steps %q", err, e.Problems(), h.log)
	}
}
