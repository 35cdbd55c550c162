// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestPublishedRepair(t *testing.T) {
	for name, damage := range map[string]string{
		"flush":             "iptables-F -t nat -F",
		"flush ours":        "iptables-F -t nat -F " + preChain,
		"one mapping":       "iptables-F -t nat -D " + chainOf(endpointA.ID) + " 1",
		"the jump":          "iptables-F -t nat -D PREROUTING -j " + preChain,
		"the other jump":    "iptables-F -t nat -D OUTPUT -j " + preChain,
		"jump to endpoint":  "iptables-F -t nat -D " + preChain + " -j " + chainOf(endpointA.ID),
		"IPv6":              "ip6tables-F -t nat -F",
		"DNAT of another's": "iptables-F -t nat -I " + preChain + " -p tcp --dport 1 -j DNAT --to 10.9.9.9",
		"ruleset":           "nft flush ruleset",
	} {
		t.Run(name, func(t *testing.T) {
			eachFlavour(t, func(t *testing.T, h *host) {
				if strings.HasPrefix(damage, "nft") && h.flavour != "nft" {
					damage = "iptables-F -t nat -F"
				}
				nets, endpoints := []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}
				must(t, h.Apply(h.ctx, nets, endpoints))
				before := h.both()
				h.changed()
				f := strings.Fields(strings.ReplaceAll(damage, "tables-F", "tables-"+h.flavour))
				command(t, f[0], f[1:]...)
				if !h.changed() {
					t.Fatal("Check does not see it")
				}
				must(t, h.Publish(h.ctx, dualE, endpointB)) // as it is: says nothing about the rest
				must(t, h.Apply(h.ctx, nets, endpoints))
				h.same("repaired", before)
			})
		})
	}
}

// A change of one endpoint on a host that somebody flushed repairs it all.
func TestPublishAfterFlush(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}))
		both := h.both()
		must(t, h.Unpublish(h.ctx, endpointB.ID))
		for _, flush := range []string{"-t nat -F", "-t nat -X", "-F", "-X"} {
			h.ipt(flush)
		}
		must(t, h.Publish(h.ctx, dualE, endpointB))
		must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}))
		h.same("repaired", both)
	})
}

func TestPublishBeforeApply(t *testing.T) {
	h := newHost(t, "nft")
	must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA}))
	before := h.both()
	h.Table = h.table("nft")
	wantError(t, h.Publish(h.ctx, dualE, endpointB), "cannot publish ports: the packet filter's rules have not been written yet")
	must(t, h.Unpublish(h.ctx, endpointA.ID))
	must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA}))
	h.same("after a restart", before)
}

func TestPublishFlat(t *testing.T) {
	h := newHost(t, "nft")
	h.apply(flatD)
	wantError(t, h.Publish(h.ctx, flatD, endpointB), "cannot publish port 0.0.0.0:8081: the network's mode is flat")
	must(t, h.Publish(h.ctx, flatD, spec.Endpoint{ID: endpointB.ID, Network: flatD.ID}))
}
