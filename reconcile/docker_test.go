// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

// viewOf is what Docker would say when it knows the State's networks, and of
// the endpoints those that have a link.
func viewOf(s spec.State, h *host) DockerView {
	v := DockerView{Taken: time.Now(), Networks: map[spec.NetworkID]DockerNetwork{}}
	for nid, n := range s.Networks {
		d := DockerNetwork{Name: "net-" + n.Bridge, Endpoints: map[spec.EndpointID]DockerEndpoint{},
			Request: spec.Request{ID: nid, Subnets: n.Subnets, Options: map[string]any{
				"ovs.bridge.mode": string(n.Mode), "ovs.bridge.name": n.Bridge, "ovs.bridge.dpid": n.DPID.String()}}}
		for _, ep := range s.EndpointsOf(nid) {
			if _, ok := h.veths[ep.ID]; ok {
				d.Endpoints[ep.ID] = DockerEndpoint{Container: "box", Request: spec.EndpointRequest{ID: ep.ID, Network: nid, MAC: string(ep.MAC)}}
			}
		}
		v.Networks[nid] = d
	}
	return v
}

func withNetworkAndEndpoint(t *testing.T) (*host, *Engine, spec.Endpoint) {
	t.Helper()
	h := newHost()
	e, ctx := run(t, h, "boot"), within(t)
	if err := e.CreateNetwork(ctx, natNetwork(1)); err != nil {
		t.Fatal(err)
	}
	ep, err := e.CreateEndpoint(ctx, endpoint(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	return h, e, ep
}

func TestNamesComeFromDocker(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	if err := e.See(within(t), viewOf(e.State(), h)); err != nil {
		t.Fatal(err)
	}
	names := e.Names()
	if names.Networks[ep.Network] != "net-br1" || names.Containers[ep.ID] != "box" {
		t.Errorf("names: %+v", names)
	}
	clash := natNetwork(2)
	clash.DPID = natNetwork(1).DPID
	if err := e.CreateNetwork(within(t), clash); err == nil || !strings.Contains(err.Error(), `network "net-br1"`) {
		t.Errorf("a clash does not name the other party: %v", err)
	}
}

func TestForgottenIsRemovedAfterGrace(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	ctx := within(t)
	empty := func(at time.Duration) DockerView { return DockerView{Taken: time.Now().Add(at)} }
	see := func(v DockerView) {
		t.Helper()
		if err := e.See(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	// A view that was begun before the endpoint was made says nothing of it.
	see(DockerView{Taken: time.Now().Add(-time.Hour)})
	see(empty(time.Second))
	if len(e.State().Endpoints) != 1 {
		t.Fatal("removed at first sight")
	}
	h.held[ep.ID] = true
	see(empty(2 * time.Minute))
	if len(e.State().Endpoints) != 1 {
		t.Fatal("removed while a container holds its link")
	}
	h.held[ep.ID] = false
	see(empty(3 * time.Minute))
	if len(e.State().Endpoints) != 0 || len(h.ports)+len(h.veths) != 0 {
		t.Fatalf("not removed after the grace:\n%s", h)
	}
	see(empty(4 * time.Minute))
	see(empty(6 * time.Minute))
	if h.String() != "" {
		t.Errorf("the network is left:\n%s", h)
	}
}

func TestEndpointWithoutLinkGoesAtOnce(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	delete(h.veths, ep.ID)
	v := viewOf(e.State(), h)
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if len(e.State().Endpoints) != 0 || len(h.ports) != 0 || len(e.State().Networks) != 1 {
		t.Errorf("state %+v, host:\n%s", e.State(), h)
	}
}

// Open vSwitch's database and dovesnap's memory are both lost; Docker and the
// links remember.
func TestAdoptAfterTotalLoss(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	second, err := e.CreateEndpoint(within(t), endpoint(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteEndpoint(within(t), ep.ID); err != nil {
		t.Fatal(err)
	}
	v, before := viewOf(e.State(), h), h.String()
	h.bridges, h.ports, h.rules = map[spec.NetworkID]spec.Network{}, map[spec.EndpointID]spec.Endpoint{}, nil
	h.held[second.ID] = true
	e = run(t, h, "boot")
	if h.String() == before {
		t.Fatal("nothing was lost")
	}
	v.Taken = time.Now()
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if h.String() != before {
		t.Errorf("host:\n%s\nbefore:\n%s", h, before)
	}
	if got := e.State().Endpoints[second.ID]; got.OFPort != second.OFPort {
		t.Errorf("OF port %d, was %d", got.OFPort, second.OFPort)
	}
}

// A network that was removed while Docker was being asked stays removed.
func TestStaleViewDoesNotRevive(t *testing.T) {
	h, e, ep := withNetworkAndEndpoint(t)
	v := viewOf(e.State(), h)
	if err := e.DeleteNetwork(within(t), ep.Network); err != nil {
		t.Fatal(err)
	}
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if h.String() != "" {
		t.Errorf("revived:\n%s", h)
	}
}

func TestBadNetworkOfDockerIsAProblem(t *testing.T) {
	e := run(t, newHost(), "boot")
	nid := natNetwork(1).ID
	v := DockerView{Taken: time.Now(), Networks: map[spec.NetworkID]DockerNetwork{nid: {Name: "old",
		Request: spec.Request{ID: nid, Options: map[string]any{"ovs.bridge.dhcp": "true"}}}}}
	if err := e.See(within(t), v); err != nil {
		t.Fatal(err)
	}
	if p := e.Problems()[SubjectNetwork(nid)]; !strings.Contains(p, "ovs.bridge.dhcp") {
		t.Errorf("problems: %v", e.Problems())
	}
}

// Somebody switched forwarding off; Docker runs, so that it may be put right.
func TestForwardingIsMinded(t *testing.T) {
	h, e, _ := withNetworkAndEndpoint(t)
	h.guard = false
	if err := e.See(within(t), viewOf(e.State(), h)); err != nil || !h.guard {
		t.Errorf("forwarding was not looked after: %v", err)
	}
	look := func(after time.Duration) bool {
		h.guard = false
		if err := e.do(within(t), func(ctx context.Context) error {
			e.docker.now = func() time.Time { return time.Now().Add(after) }
			e.lookFirewall(ctx)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return h.guard
	}
	if !look(0) {
		t.Error("it is not looked after between views")
	}
	if look(dockerRuns) {
		t.Error("it is looked after though Docker may not run")
	}
}

// The packet filter keeps our networks from Docker's bridges, and is told of them.
func TestDockersBridgesAreKnown(t *testing.T) {
	h, e, _ := withNetworkAndEndpoint(t)
	v := viewOf(e.State(), h)
	v.Bridges = []string{"docker0", "own"}
	h.rules = nil
	for i := range 2 {
		if err := e.See(within(t), v); err != nil {
			t.Fatal(err)
		}
		if applied := len(h.rules) > 0; !slices.Equal(h.docker, v.Bridges) || applied != (i == 0) {
			t.Errorf("told %d times: knows %q, rules written anew: %v", i+1, h.docker, applied)
		}
		h.rules = nil
	}
}
