// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	cfg.Ended = func(maker string) bool { return maker == ended }
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

func TestBusyAndNotReady(t *testing.T) {
	h := newHost()
	e := New(h, h, h, Config{Interval: time.Hour, Resync: make(chan struct{})}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := e.CreateNetwork(ctx, natNetwork(1)); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("before the start: %v", err)
	}
}
