// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

// endpoint makes one of dualE's with ports: each "proto host-address:port
// container-address:port".
func endpoint(n int, ports ...string) spec.Endpoint {
	e := spec.Endpoint{ID: endpointID(n), Network: dualE.ID}
	for _, p := range ports {
		f := strings.Fields(p)
		host := netip.MustParseAddrPort(f[1])
		e.Published = append(e.Published, spec.Published{Proto: spec.Proto(f[0]), HostIP: host.Addr(), HostPort: host.Port(), To: netip.MustParseAddrPort(f[2])})
	}
	return e
}

// three makes an endpoint with three mappings of its own.
func three(n int) spec.Endpoint {
	to := fmt.Sprintf("10.5.0.%d:80", n%250+2)
	return endpoint(n,
		fmt.Sprintf("tcp 0.0.0.0:%d %s", 10000+3*n, to),
		fmt.Sprintf("tcp 0.0.0.0:%d %s", 10001+3*n, to),
		fmt.Sprintf("tcp [::]:%d [fd00:5::8]:80", 10000+3*n))
}

var (
	endpointA = endpoint(1,
		"tcp 0.0.0.0:8080 10.5.0.8:80", "tcp [::]:8080 [fd00:5::8]:80",
		"udp 192.0.2.1:53 10.5.0.8:5353", "sctp 127.0.0.1:9 10.5.0.8:9",
		"udp [2001:db8::1]:53 [fd00:5::8]:5353")
	endpointB = endpoint(2, "tcp 0.0.0.0:8081 10.5.0.9:80")
	routedOf  = func(e spec.Endpoint) spec.Endpoint { e.Network = dualF.ID; return e }
)

// What one by one made of it must be what Apply makes of it, and undo as well.
func TestPublishedGolden(t *testing.T) {
	friendE := dualE
	friendE.Name, friendE.AllowForward = "e", []string{"b"}
	namedB := natB
	namedB.Name = "b"
	openA := natA
	openA.AllowForward = []string{"all"}
	for _, c := range []struct {
		golden, stage string
		nets          []spec.Network
		endpoints     []spec.Endpoint
	}{
		{"published", "bare", []spec.Network{dualE, flatD}, []spec.Endpoint{endpointA, endpointB}},
		{"published-routed", "bare", []spec.Network{dualF}, []spec.Endpoint{routedOf(endpointA), routedOf(endpointB)}},
		{"published-docker20", "docker20", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"published-docker29nft", "docker29nft", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"published-firewall", "firewall", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"allow", "bare", []spec.Network{friendE, namedB, openA}, nil},
	} {
		for _, flavour := range flavours {
			t.Run(c.golden+"/"+flavour, func(t *testing.T) {
				h := newHost(t, flavour)
				h.restore(stages[c.stage])
				before := h.both()
				h.apply(c.nets...)
				none := h.both()
				must(t, h.Apply(h.ctx, c.nets, c.endpoints))
				whole := h.both()
				compareGolden(t, c.golden, whole)
				for _, e := range c.endpoints {
					must(t, h.Unpublish(h.ctx, e.ID))
					must(t, h.Unpublish(h.ctx, e.ID))
				}
				h.same("after Unpublish", none)
				for _, e := range c.endpoints {
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
				}
				h.same("one by one", whole)
				h.Table = h.table(flavour) // a restart
				must(t, h.Apply(h.ctx, c.nets, c.endpoints))
				h.same("after a restart", whole)
				for _, e := range c.endpoints {
					e.Published = nil
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
				}
				h.same("without ports", none)
				h.apply()
				h.same("at the end", before)
			})
		}
	}
}

func networkOf(nets []spec.Network, e spec.Endpoint) spec.Network {
	for _, n := range nets {
		if n.ID == e.Network {
			return n
		}
	}
	panic("no network of that endpoint")
}

// same checks what the host prints, and that Check and Apply agree with it.
func (h *host) same(when, want string) {
	h.Helper()
	if diff := cmp.Diff(want, h.both()); diff != "" {
		h.Errorf("%s: %s", when, diff)
	}
	if h.changed() {
		h.Errorf("%s: Check sees a change", when)
	}
}

// Hundreds come and go in any order, with a crash in between, and leave no trace.
func TestManyEndpoints(t *testing.T) {
	const count = 200
	eachFlavour(t, func(t *testing.T, h *host) {
		h.restore(stages["docker20"])
		nets := []spec.Network{dualE, natB}
		h.apply(nets...)
		before := h.both()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		type step struct {
			n      int
			remove bool
		}
		var steps []step
		for n := range count {
			steps = append(steps, step{n, false}, step{n, true})
		}
		random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		present := map[int]bool{}
		for _, s := range steps {
			if present[s.n] = !present[s.n]; present[s.n] { // whichever comes first adds
				must(t, h.Publish(h.ctx, dualE, three(s.n)))
			} else {
				must(t, h.Unpublish(h.ctx, endpointID(s.n)))
			}
		}
		h.same("all gone", before)
		for n := range 20 {
			must(t, h.Publish(h.ctx, dualE, three(n)))
		}
		h.Table = h.table(h.flavour) // a crash; these have ended meanwhile
		h.apply(nets...)
		h.same("orphans swept", before)
	})
}
