// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

var web = []spec.PortMap{{Proto: spec.TCP, HostPort: 8080, HostPortEnd: 8080, Port: 80}}

func TestPublish(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	ctx := within(t)
	for range 2 { // the second time, Docker asks again
		if err := e.Publish(ctx, ep.Network, ep.ID, web); err != nil {
			t.Fatal(err)
		}
		if got := h.String(); got != want(e.State()) || len(h.published[ep.ID]) != 1 || len(h.ports[ep.ID].Published) != 1 {
			t.Errorf("host:\n%s\nstored: %v", got, h.ports[ep.ID].Published)
		}
	}
	other := attach(t, e, endpoint(1, 2))
	if err := e.Publish(ctx, other.Network, other.ID, web); err == nil || !strings.Contains(err.Error(), "it is in use") {
		t.Errorf("a busy port: %v", err)
	}
	if err := e.Publish(ctx, ep.Network, "unknown", web); err == nil {
		t.Error("an unknown endpoint publishes")
	}
	for range 2 {
		if err := e.Unpublish(ctx, ep.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.published)+len(h.reserved)+len(h.ports[ep.ID].Published) != 0 {
		t.Errorf("left: %v %v", h.published, h.reserved)
	}
	// Docker does not always revoke.
	if err := e.Publish(ctx, other.Network, other.ID, web); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteEndpoint(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	if len(h.published)+len(h.reserved) != 0 {
		t.Errorf("left by a removed endpoint: %v %v", h.published, h.reserved)
	}
}

func TestFailedPublishLeavesNothing(t *testing.T) {
	for step := 1; step <= 2; step++ { // the rules, their storing
		h, e, ep := withNetworkAndEndpoint(t)
		before := h.String()
		h.failAt = step
		if err := e.Publish(within(t), ep.Network, ep.ID, web); !errors.Is(err, errInjected) {
			t.Errorf("step %d: %v", step, err)
		}
		if diff := cmp.Diff(before, h.String()); diff != "" || len(h.reserved)+len(h.published) > 0 {
			t.Errorf("step %d: left: %s %v %v", step, diff, h.reserved, h.published)
		}
	}
}

func TestFlatPublishesNothing(t *testing.T) {
	h := newHost()
	e := run(t, h, "boot")
	n := natNetwork(1)
	n.Mode = spec.Flat
	if err := e.CreateNetwork(within(t), n); err != nil {
		t.Fatal(err)
	}
	ep := attach(t, e, endpoint(1, 1))
	if err := e.Publish(within(t), n.ID, ep.ID, web); err == nil || !strings.Contains(err.Error(), "flat") {
		t.Errorf("got %v", err)
	}
}

// The ports of the dead are not given to others before the dead are swept, and those
// of the living stay theirs.
func TestPublishedOverARestart(t *testing.T) {
	h := newHost()
	e, stop := start(t, h, "boot")
	if err := e.CreateNetwork(within(t), natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep := attach(t, e, endpoint(1, 1))
	if err := e.Publish(within(t), ep.Network, ep.ID, web); err != nil {
		t.Fatal(err)
	}
	stop()
	clear(h.reserved) // they end with the process
	e, stop = start(t, h, "boot")
	if got := h.String(); got != want(e.State()) || len(h.reserved[ep.ID]) != 1 {
		t.Errorf("host:\n%s\nreserved: %v", got, h.reserved)
	}
	stop()
	clear(h.reserved)
	_, stop = start(t, h, "another boot")
	defer stop()
	if len(h.published)+len(h.reserved) != 0 {
		t.Errorf("left by an earlier boot: %v %v", h.published, h.reserved)
	}
}

// dockerd was killed, and starts its containers again: under another address, so that
// nothing but the port says that the one that has it is dead.
func TestPortsOfTheDeadAreFree(t *testing.T) {
	h, e, dead := withNetworkAndEndpoint(t)
	ctx := within(t)
	if err := e.Publish(ctx, dead.Network, dead.ID, web); err != nil {
		t.Fatal(err)
	}
	delete(h.veths, dead.ID)
	heir := attach(t, e, endpoint(1, 2))
	if err := e.Publish(ctx, heir.Network, heir.ID, web); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[dead.ID]; still || len(h.published) != 1 || len(h.reserved[heir.ID]) != 1 {
		t.Errorf("published: %v, reserved: %v", h.published, h.reserved)
	}
}

// withPublished leaves a host with an endpoint that publishes a port, as a dovesnap that
// was killed leaves it.
func withPublished(t *testing.T) (*host, spec.Endpoint) {
	t.Helper()
	h := newHost()
	e, stop := start(t, h, "boot")
	defer stop()
	if err := e.CreateNetwork(within(t), natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep := attach(t, e, endpoint(1, 1))
	if err := e.Publish(within(t), ep.Network, ep.ID, web); err != nil {
		t.Fatal(err)
	}
	clear(h.reserved)
	return h, ep
}

// A container was stopped while dovesnap was down, so that its link is back on the
// host. Its next start wants the port; Docker has not been seen yet.
func TestPortsOfTheStoppedAreFree(t *testing.T) {
	h, stopped := withPublished(t)
	h.left[stopped.ID] = true
	e := run(t, h, "boot")
	ctx := within(t)
	heir := attach(t, e, endpoint(1, 2))
	if err := e.Publish(ctx, heir.Network, heir.ID, web); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[stopped.ID]; still || len(h.published) != 1 || len(h.reserved[heir.ID]) != 1 {
		t.Errorf("published: %v, reserved: %v", h.published, h.reserved)
	}
}

// Docker publishes before it moves the link into the container: a restart of dovesnap
// in between takes nothing from it, and neither do others' wishes.
func TestStartingOverARestart(t *testing.T) {
	h, starting := withPublished(t)
	e := run(t, h, "boot")
	ctx := within(t)
	rival := attach(t, e, endpoint(1, 2))
	if err := e.Publish(ctx, rival.Network, rival.ID, web); err == nil {
		t.Error("a rival gets the port")
	}
	v := viewOf(e.State(), h)
	v.Taken = v.Taken.Add(time.Second)
	if err := e.See(ctx, v); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[starting.ID]; !still || len(h.published) != 1 || len(h.reserved[starting.ID]) != 1 {
		t.Errorf("published: %v, reserved: %v", h.published, h.reserved)
	}
	// It failed to start. Docker had shown it before there were ports.
	v.Taken = v.Taken.Add(time.Second)
	delete(v.Networks[starting.Network].Endpoints, starting.ID)
	if err := e.See(ctx, v); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[starting.ID]; still || len(h.published)+len(h.reserved) != 0 {
		t.Errorf("published: %v, reserved: %v", h.published, h.reserved)
	}
}

// Docker shows an endpoint a moment after it was made: a dovesnap that was started in
// between does not take it for a dead one.
func TestMadeBeforeARestart(t *testing.T) {
	h := newHost()
	e, stop := start(t, h, "boot")
	if err := e.CreateNetwork(within(t), natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep := attach(t, e, endpoint(1, 1))
	stop()
	e = run(t, h, "boot")
	v := viewOf(e.State(), h)
	v.Taken = v.Taken.Add(time.Second)
	delete(v.Networks[ep.Network].Endpoints, ep.ID)
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[ep.ID]; !still {
		t.Error("it has gone")
	}
}

// ended is a dockerd that is no more.
const ended = "7 since 42"

// dockerd ended while it started containers: their links are on the host for ever. It
// starts them again as others, and its API is silent meanwhile.
func TestPortsOfAnEndedDockerdAreFree(t *testing.T) {
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	var eps []spec.Endpoint
	for i, maker := range []string{ended, ended, "8 since 43"} {
		ep := endpoint(1, i+1)
		ep.Maker = maker
		eps = append(eps, attach(t, e, ep))
		if err := e.Publish(ctx, ep.Network, ep.ID, []spec.PortMap{{Proto: spec.TCP, HostPort: uint16(80 + i), HostPortEnd: uint16(80 + i), Port: 80}}); err != nil {
			t.Fatal(err)
		}
	}
	h.held[eps[1].ID] = true // with live-restore it goes on
	heir := attach(t, e, endpoint(1, 9))
	for i, want := range []bool{true, false, false} {
		maps := []spec.PortMap{{Proto: spec.TCP, HostPort: uint16(80 + i), HostPortEnd: uint16(80 + i), Port: 80}}
		if err := e.Publish(ctx, heir.Network, heir.ID, maps); (err == nil) != want {
			t.Errorf("port %d: %v", 80+i, err)
		}
	}
	for i, want := range []bool{false, true, true} {
		if _, still := e.State().Endpoints[eps[i].ID]; still != want {
			t.Errorf("endpoint %d is there: %v", i, still)
		}
	}
}

// The first view that does not show it will do.
func TestStoppedMeanwhileGoesAtOnce(t *testing.T) {
	h, stopped := withPublished(t)
	h.left[stopped.ID] = true
	e := run(t, h, "boot")
	v := viewOf(e.State(), h)
	v.Taken = v.Taken.Add(time.Second)
	delete(v.Networks[stopped.Network].Endpoints, stopped.ID)
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if _, still := e.State().Endpoints[stopped.ID]; still || len(h.published)+len(h.reserved) != 0 {
		t.Errorf("published: %v, reserved: %v", h.published, h.reserved)
	}
}
