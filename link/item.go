// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// item is an address or a route as the kernel lists it: rtnetlink(7)'s message as
// it came, so that what this package knows nothing of (metrics, protocols,
// lifetimes, encapsulations) is not lost when it is made again on another link.
type item struct {
	Kind  uint16 `json:"kind"` // RTM_NEWADDR or RTM_NEWROUTE
	Head  []byte `json:"head"` // struct ifaddrmsg or rtmsg
	Attrs []attr `json:"attrs"`
}

// typeMask takes the kernel's flags off an attribute's type: NLA_TYPE_MASK.
const typeMask = 1<<14 - 1

type attr struct {
	Type  uint16 `json:"type"`
	Value []byte `json:"value"`
}

// Offsets in struct ifaddrmsg (linux/if_addr.h) and rtmsg (linux/rtnetlink.h);
// the family is first in both.
const (
	addrBits, addrIndex                           = 1, 4
	routeBits, routeTable                         = 1, 4
	routeProto, routeScope, routeKind, routeFlags = 5, 6, 7, 8
)

// itemsOn lists the addresses and routes of a link in the order in which making
// them again gives the same lists: the kernel puts the newest of a scope first in
// IPv6. Link-local addresses of IPv6 and what belongs to them each link has for
// itself; what is in the table local comes and goes with an address.
func (h rawHandle) itemsOn(ctx context.Context, link netlink.Link) ([]item, error) {
	index := link.Attrs().Index
	var v4, v6, routes []item
	addrs, err := dump(ctx, func() ([]item, error) { return h.list(unix.RTM_NEWADDR, unix.AF_UNSPEC) })
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	for _, a := range addrs {
		switch {
		case int(binary.NativeEndian.Uint32(a.Head[addrIndex:])) != index:
		case a.family() == unix.AF_INET:
			v4 = append(v4, a)
		case a.family() == unix.AF_INET6 && !a.prefix().Addr().IsLinkLocalUnicast():
			v6 = append(v6, a)
		}
	}
	slices.Reverse(v6)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := dump(ctx, func() ([]item, error) { return h.list(unix.RTM_NEWROUTE, family) })
		if err != nil {
			return nil, fmt.Errorf("cannot list routes: %w", err)
		}
		for _, r := range all {
			if r.uses(index) && !r.automatic() {
				routes = append(routes, r)
			}
		}
	}
	// A gateway must be reachable by a route that is there.
	slices.SortStableFunc(routes, func(a, b item) int { return a.hops() - b.hops() })
	return slices.Concat(v4, v6, routes), nil
}

func parseItem(kind uint16, m []byte, size int) (item, error) {
	attrs, err := nl.ParseRouteAttr(m[size:])
	if err != nil {
		return item{}, err
	}
	i := item{Kind: kind, Head: bytes.Clone(m[:size])}
	for _, a := range attrs {
		i.Attrs = append(i.Attrs, attr{a.Attr.Type, bytes.Clone(a.Value)})
	}
	return i, nil
}

func (i item) family() uint8 { return i.Head[0] }

func (i item) attr(kind uint16) []byte {
	for _, a := range i.Attrs {
		if a.Type&typeMask == kind {
			return a.Value
		}
	}
	return nil
}

func (i item) number(kind uint16) int {
	if v := i.attr(kind); len(v) >= 4 {
		return int(binary.NativeEndian.Uint32(v))
	}
	return 0
}

// prefix is an address with its length, or a route's destination.
func (i item) prefix() netip.Prefix {
	kind := uint16(unix.RTA_DST)
	if i.Kind == unix.RTM_NEWADDR {
		kind = unix.IFA_ADDRESS
		if i.attr(unix.IFA_LOCAL) != nil { // IFA_ADDRESS is then the peer's, if there is one
			kind = unix.IFA_LOCAL
		}
	}
	ip, ok := netip.AddrFromSlice(i.attr(kind))
	switch {
	case ok:
	case i.family() == unix.AF_INET:
		ip = netip.IPv4Unspecified()
	default:
		ip = netip.IPv6Unspecified()
	}
	return netip.PrefixFrom(ip, int(i.Head[addrBits]))
}

// String is for people.
func (i item) String() string {
	if i.Kind == unix.RTM_NEWADDR {
		return "address " + i.prefix().String()
	}
	return "route to " + i.prefix().String()
}
