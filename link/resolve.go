// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Resolve makes the host ask on the network's bridge for the neighbours that an
// endpoint's addresses are, where the host is the gateway. The container learns the
// gateway's address from the question (RFC 826, "Packet Reception"): what it has
// waiting goes out at once, and not when it asks again itself, after a second.
func (l *Links) Resolve(ctx context.Context, n spec.Network, e spec.Endpoint) error {
	if !n.Routed() {
		return nil
	}
	h, err := open(ctx)
	if err != nil {
		return fmt.Errorf("cannot ask for endpoint %q: %w", e.ID.Short(), err)
	}
	defer h.Close()
	bridge, err := h.find(n.Bridge)
	if bridge == nil || err != nil {
		return err
	}
	for _, a := range e.Addresses {
		neighbour := &netlink.Neigh{LinkIndex: bridge.Attrs().Index, IP: net.IP(a.Addr().AsSlice()), State: netlink.NUD_NONE, Flags: unix.NTF_USE}
		// One that is known is not asked for.
		if err := h.NeighDel(neighbour); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot ask for %s: %w", a.Addr(), err)
		}
		if err := h.NeighSet(neighbour); err != nil {
			return fmt.Errorf("cannot ask for %s: %w", a.Addr(), err)
		}
	}
	return nil
}
