// SPDX-License-Identifier: Apache-2.0

package link

import (
	"testing"

	"dovesnap/spec"
)

// A subnet that the host is on already would give it two ways to it.
func TestCheckNetworkRefusesOwnSubnets(t *testing.T) {
	newNetns(t)
	addBridge(t, "lan0")
	addAddress(t, "lan0", "198.51.100.1/24")
	l, ctx := newLinks(), deadline(t)
	for gateway, refused := range map[string]bool{"198.51.100.1/30": true, "198.51.0.1/16": true, "198.51.101.1/24": false} {
		n := spec.Network{Bridge: "br0", Mode: spec.NAT, Subnets: subnets(gateway)}
		if refused {
			wantError(t, l.CheckNetwork(ctx, n), "overlaps 198.51.100.1/24, which the host has on an interface of its own (lan0)")
		} else {
			must(t, l.CheckNetwork(ctx, n))
		}
		n.Mode = spec.Flat
		must(t, l.CheckNetwork(ctx, n))
	}
}
