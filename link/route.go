// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// uses reports whether a route leaves by a link, be it by one hop of several.
func (i item) uses(index int) bool {
	used := i.number(unix.RTA_OIF) == index
	eachHop(i.attr(unix.RTA_MULTIPATH), func(hop []byte) {
		used = used || int(binary.NativeEndian.Uint32(hop[hopIndex:])) == index
	})
	return used
}

// Offsets in struct rtnexthop, linux/rtnetlink.h.
const hopFlags, hopIndex = 2, 4

// eachHop calls f with each struct rtnexthop of RTA_MULTIPATH.
func eachHop(v []byte, f func(hop []byte)) {
	for len(v) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(v))
		if size < unix.SizeofRtNexthop || size > len(v) {
			return
		}
		f(v[:size])
		v = v[min((size+3)&^3, len(v)):]
	}
}

// automatic reports whether a route comes and goes with a link or an address.
func (i item) automatic() bool {
	table := int(i.Head[routeTable])
	if t := i.number(unix.RTA_TABLE); t != 0 {
		table = t
	}
	flags := binary.NativeEndian.Uint32(i.Head[routeFlags:])
	to := i.prefix()
	return table == unix.RT_TABLE_LOCAL || flags&unix.RTM_F_CLONED != 0 ||
		to.Bits() >= 8 && to.Addr().Is6() && (to.Addr().IsLinkLocalUnicast() || to.Addr().IsMulticast())
}

// hops is 0 for a route that needs no gateway.
func (i item) hops() int {
	if i.attr(unix.RTA_GATEWAY) != nil || i.attr(unix.RTA_VIA) != nil || i.attr(unix.RTA_MULTIPATH) != nil {
		return 1
	}
	return 0
}

// isFor reports whether an item is there because of an address of a network's own:
// the address, or the route that the kernel makes with it.
func (i item) isFor(own netip.Prefix) bool {
	switch {
	case i.Kind == unix.RTM_NEWADDR:
		return i.prefix() == own
	case i.Head[routeProto] != unix.RTPROT_KERNEL:
		return false
	case own.Addr().Is4():
		src, _ := netip.AddrFromSlice(i.attr(unix.RTA_PREFSRC))
		return src == own.Addr()
	}
	return i.prefix() == own.Masked()
}

// expires is how many seconds a route still has; 0: for ever. The kernel tells it
// in its ticks for users (USER_HZ, which is 100 everywhere but on alpha and ia64).
func (i item) expires() uint32 {
	const at, hz = 8, 100 // offset in struct rta_cacheinfo
	if v := i.attr(unix.RTA_CACHEINFO); i.family() == unix.AF_INET6 && len(v) >= at+4 {
		if ticks := int32(binary.NativeEndian.Uint32(v[at:])); ticks > 0 {
			return max(uint32(ticks)/hz, 1)
		}
	}
	return 0
}
