// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

// run starts an engine on a host and returns it ready; it ends with the test.
func run(t *testing.T, h *host, boot string) *Engine {
	t.Helper()
	e, stop := start(t, h, boot)
	t.Cleanup(stop)
	return e
}

func start(t *testing.T, h *host, boot string) (*Engine, func()) {
	t.Helper()
	return startWith(t, h, Config{BootID: boot, Labels: true})
}

func startWith(t *testing.T, h *host, cfg Config) (*Engine, func()) {
	t.Helper()
	resync := make(chan struct{}, 1)
	resync <- struct{}{}
	cfg.Interval, cfg.Grace, cfg.Resync, cfg.Ports = time.Hour, time.Minute, resync, h
	cfg.Datapath = func(context.Context, spec.Network) (bool, bool) { return true, false }
	e := New(h, h, h, cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	select {
	case <-e.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("the engine is not ready")
	}
	for e.busySince.Load() != nil { // the first pass
		runtime.Gosched()
	}
	return e, func() { cancel(); <-done }
}

func id(prefix string, n int) string { return fmt.Sprintf("%s%063d", prefix, n) }

func natNetwork(n int) spec.Network {
	pool := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", n))
	nid := spec.NetworkID(id("a", n))
	return spec.Network{ID: nid, Bridge: fmt.Sprintf("br%d", n), Mode: spec.NAT, DPID: spec.DPID(n + 1),
		Subnets: []spec.Subnet{{Pool: pool, Gateway: netip.PrefixFrom(pool.Addr().Next(), 24)}}}
}

func endpoint(network, n int) spec.Endpoint {
	return spec.Endpoint{ID: spec.EndpointID(id("e", n)), Network: natNetwork(network).ID, MAC: "02:42:00:00:00:01"}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestLifecycleLeavesNothing(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		ep, err := e.CreateEndpoint(ctx, endpoint(1, i))
		if err != nil || ep.OFPort != spec.OFPort(i+1) || ep.Boot != "boot" {
			t.Fatalf("endpoint %d: %+v, %v", i, ep, err)
		}
	}
	if !h.guard {
		t.Error("forwarding was not looked after")
	}
	if got := h.String(); got != want(e.State()) || len(h.ports) != 3 {
		t.Errorf("host:\n%s\nwant:\n%s", got, want(e.State()))
	}
	if err := e.DeleteEndpoint(ctx, endpoint(1, 1).ID); err != nil {
		t.Fatal(err)
	}
	if ep, err := e.CreateEndpoint(ctx, endpoint(1, 7)); err != nil || ep.OFPort != 2 {
		t.Errorf("a freed OF port is not the next one given: %+v, %v", ep, err)
	}
	if err := e.DeleteNetwork(ctx, natNetwork(1).ID); err != nil {
		t.Fatal(err)
	}
	if h.String() != "" {
		t.Errorf("left on the host:\n%s", h)
	}
}

// dockerd was killed, and starts its containers again, before its API says what
// it has forgotten.
func TestAddressOfTheDead(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	addressed := func(n, address int) spec.Endpoint {
		t.Helper()
		ep := endpoint(1, n)
		ep.Addresses = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.1.%d/24", address))}
		ep, err := e.CreateEndpoint(ctx, ep)
		if err != nil {
			t.Fatal(err)
		}
		return ep
	}
	addressed(1, 8)
	addressed(2, 9)
	if ep := addressed(3, 9); ep.OFPort != 2 {
		t.Errorf("OF port %d, the dead one had 2", ep.OFPort)
	}
	if got := h.String(); got != want(e.State()) || len(h.ports) != 2 {
		t.Errorf("host:\n%s\nwant:\n%s", got, want(e.State()))
	}
	h.held[endpoint(1, 1).ID] = true
	if ep := addressed(4, 8); ep.OFPort != 3 || len(h.ports) != 3 {
		t.Errorf("a container that runs was cut off: OF port %d, host:\n%s", ep.OFPort, h)
	}
}

func TestRepeatedCalls(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	for range 2 {
		if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := e.CreateEndpoint(ctx, endpoint(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.CreateEndpoint(ctx, endpoint(1, 1))
	if err != nil || again.OFPort != first.OFPort {
		t.Errorf("second call: %+v, %v; first: %+v", again, err, first)
	}
	other := natNetwork(1)
	other.MTU = 9000
	if err := e.CreateNetwork(ctx, other); err == nil || !strings.Contains(err.Error(), "other options") {
		t.Errorf("the same ID with other options: %v", err)
	}
	for range 2 {
		if err := errors.Join(e.DeleteEndpoint(ctx, first.ID), e.DeleteNetwork(ctx, first.Network)); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownIsNeverAnEmptySuccess(t *testing.T) {
	e, ctx := run(t, newHost(), "boot"), within(t)
	if _, err := e.CreateEndpoint(ctx, endpoint(1, 1)); err == nil {
		t.Error("CreateEndpoint on an unknown network succeeded")
	}
	if _, _, err := e.Join(ctx, natNetwork(1).ID, endpoint(1, 1).ID); err == nil {
		t.Error("Join of an unknown network succeeded")
	}
}

// Whatever step fails, nothing of the change is left, and the same change
// succeeds afterwards.
func TestEveryStepMayFail(t *testing.T) {
	for failAt := 1; ; failAt++ {
		h := newHost()
		e, ctx := run(t, h, "boot"), within(t)
		h.failAt = failAt
		err := e.CreateNetwork(ctx, natNetwork(1))
		if err != nil && h.String() != "" {
			t.Fatalf("step %d of CreateNetwork failed and left:\n%s\nafter %q", failAt, h, h.log)
		}
		if err == nil {
			if _, err = e.CreateEndpoint(ctx, endpoint(1, 1)); err != nil && len(h.ports)+len(h.veths) != 0 {
				t.Fatalf("step %d of CreateEndpoint failed and left:\n%s", failAt, h)
			}
		}
		if err == nil {
			if h.failAt == 0 {
				t.Fatalf("step %d failed without an error", failAt)
			}
			return // past the last step
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("step %d: %v", failAt, err)
		}
		_, err = e.CreateEndpoint(ctx, endpoint(1, 1))
		if err != nil {
			err = errors.Join(e.CreateNetwork(ctx, natNetwork(1)))
			if _, epErr := e.CreateEndpoint(ctx, endpoint(1, 1)); err != nil || epErr != nil {
				t.Fatalf("step %d: second try: %v, %v", failAt, err, epErr)
			}
		}
	}
}

// A removal that fails is finished by a later pass.
func TestFailedRemovalIsSwept(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateEndpoint(ctx, endpoint(1, 1)); err != nil {
		t.Fatal(err)
	}
	h.failAt = 1
	if err := e.DeleteEndpoint(ctx, endpoint(1, 1).ID); err == nil {
		t.Fatal("the injected failure was swallowed")
	}
	if len(h.ports) != 1 {
		t.Fatal("the failed removal removed the port all the same")
	}
	if err := e.do(ctx, func(ctx context.Context) error { e.pass(ctx); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(h.ports)+len(h.veths) != 0 {
		t.Errorf("left after the pass:\n%s", h)
	}
}

// The host's addresses are off a bridge before it goes, which stays when they
// cannot be moved.
func TestBridgeInPlaceOfAnInterface(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	n := natNetwork(1)
	n.MigrateUplinks, n.Uplinks = true, []spec.Uplink{{Name: "eth7", OFPort: 1}}
	for range 2 { // Docker's repetition has no MAC either
		if err := e.CreateNetwork(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if stored := h.bridges[n.ID]; stored.LocalMAC != "02:00:5e:00:53:07" {
		t.Errorf("stored %+v", stored)
	}
	h.log, h.failAt = nil, 1
	if err := e.DeleteNetwork(ctx, n.ID); err == nil || len(h.bridges) != 1 {
		t.Errorf("%v; after %q", err, h.log)
	}
	h.log = nil
	if err := e.do(ctx, func(ctx context.Context) error { e.pass(ctx); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.log, ", "); len(h.bridges) != 0 || !strings.Contains(got, "return "+n.Bridge+", delete bridge of "+n.ID.Short()+", release "+n.Bridge) {
		t.Errorf("left %v after %s", h.bridges, got)
	}
}

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

func TestBusyAndNotReady(t *testing.T) {
	h := newHost()
	e := New(h, h, h, Config{Interval: time.Hour, Resync: make(chan struct{})}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := e.CreateNetwork(ctx, natNetwork(1)); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("before the start: %v", err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	e, ctx := run(t, newHost(), "boot"), within(t)
	if err := e.do(ctx, func(context.Context) error { panic("boom") }); err == nil {
		t.Error("a panic was swallowed")
	}
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Errorf("the engine does not go on after a panic: %v", err)
	}
}

// Random operations with random failures and restarts: after a pass the host is
// what the State says, and removing everything leaves nothing.
func TestRandomWalk(t *testing.T) {
	for seed := range int64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			h := newHost()
			e, stop := start(t, h, "boot")
			defer func() { stop() }()
			ctx := within(t)
			for range 60 {
				if r.Intn(4) == 0 {
					h.failAt = 1 + r.Intn(6)
				}
				switch net, ep := r.Intn(3), r.Intn(6); r.Intn(7) {
				case 0:
					_ = e.CreateNetwork(ctx, natNetwork(net))
				case 1, 2, 3:
					_, _ = e.CreateEndpoint(ctx, endpoint(net, ep))
				case 4:
					_ = e.DeleteEndpoint(ctx, endpoint(net, ep).ID)
				case 5:
					_ = e.DeleteNetwork(ctx, natNetwork(net).ID)
				case 6:
					stop()
					h.failAt = 0
					e, stop = start(t, h, "boot")
				}
			}
			h.failAt = 0
			settle := func(ctx context.Context) error { e.pass(ctx); e.pass(ctx); return nil }
			if err := e.do(ctx, settle); err != nil {
				t.Fatal(err)
			}
			// A stored port without a link is Docker's to decide on.
			if err := e.See(ctx, viewOf(e.State(), h)); err != nil {
				t.Fatal(err)
			}
			if got := h.String(); got != want(e.State()) {
				t.Fatalf("host:\n%s\nwant:\n%s", got, want(e.State()))
			}
			for n := range 3 {
				if err := e.DeleteNetwork(ctx, natNetwork(n).ID); err != nil {
					t.Fatal(err)
				}
			}
			if h.String() != "" {
				t.Fatalf("left on the host:\n%s", h)
			}
		})
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
		h.hang, h.log, e.itemTimeout = true, nil, time.Millisecond
		e.pass(ctx)
		h.hang = false
		return nil
	})
	if err != nil || strings.Count(strings.Join(h.log, "\n"), "port ") != 1 || len(e.Problems()) != 1 {
		t.Errorf("%v; problems %v; steps %q", err, e.Problems(), h.log)
	}
}
