// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"
)

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
