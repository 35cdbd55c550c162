// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// A container that has asked in vain for its gateway learns it from the host's own
// question, and has nothing to wait for.
func TestResolve(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	addVeth(t, "dsbtest", "eth0")
	inside := sibling(t)
	must(t, netlink.LinkSetNsFd(byName(t, "eth0"), int(inside)))
	h, err := netlink.NewHandleAt(inside)
	must(t, err)
	defer h.Close()
	peer, err := h.LinkByName("eth0")
	must(t, err)
	address := func(s string) *netlink.Addr {
		a, err := netlink.ParseAddr(s)
		must(t, err)
		return a
	}
	must(t, netlink.AddrAdd(byName(t, "dsbtest"), address("172.12.0.1/24")))
	must(t, netlink.LinkSetUp(byName(t, "dsbtest")))
	must(t, h.AddrAdd(peer, address("172.12.0.8/24")))
	must(t, h.LinkSetUp(peer))

	n := spec.Network{ID: networkID, Bridge: "dsbtest", Mode: spec.NAT}
	e := endpoint("0123456789ab")
	e.Addresses = []netip.Prefix{netip.MustParsePrefix("172.12.0.8/24")}
	for range 2 { // the second time, the host knows it already
		must(t, l.Resolve(ctx, n, e))
		for found := ""; !strings.Contains(found, "172.12.0.1 "); {
			must(t, ctx.Err())
			neighbours, err := h.NeighList(peer.Attrs().Index, netlink.FAMILY_V4)
			must(t, err)
			for _, seen := range neighbours {
				if len(seen.HardwareAddr) > 0 {
					found += seen.IP.String() + " "
				}
			}
		}
		must(t, h.NeighDel(&netlink.Neigh{LinkIndex: peer.Attrs().Index, IP: address("172.12.0.1/24").IP}))
	}
	n.Mode, n.Bridge = spec.Flat, "nosuch"
	must(t, l.Resolve(ctx, n, e))
}
