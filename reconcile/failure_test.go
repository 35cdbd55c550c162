// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"
)

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
