// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A host that learnt its default route from a router must not lose it when it
// begins to forward: the kernel drops such routes at that moment.
func TestAdvertisedRouteStays(t *testing.T) {
	w := newWires(t, "nft")
	must(t, setSysctl(ipv6Conf+"/default/accept_ra", "1"))
	router := w.connect("eth0", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParseAddr("192.0.2.2"), false)
	const key = ipv6Conf + "/eth0/accept_ra"
	for len(learnt(t)) == 0 {
		must(t, w.ctx.Err())
		w.advertise(router)
	}
	must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
	if links := learnt(t); !slices.Contains(links, "eth0") {
		t.Errorf("the default route is gone; accept_ra is %s", readSysctl(t, key))
	}
	if v := readSysctl(t, key); v != "2" {
		t.Errorf("accept_ra is %s; the route would go with its lifetime", v)
	}
}

func learnt(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile(ipv6Routes)
	must(t, err)
	return advertised(string(text))
}

// advertise sends one router advertisement (RFC 4861, 4.2) to all nodes; without
// effect until duplicate address detection is through.
func (w *wires) advertise(a away) {
	w.Helper()
	must(w, netns.Set(a.ns))
	defer func() { must(w, netns.Set(w.home)) }()
	link, err := netlink.LinkByName("eth0")
	must(w, err)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	must(w, err)
	defer unix.Close(fd)
	must(w, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255))
	const lifetime = 7 // high byte: 1792 s
	message := []byte{134, 0, 0, 0, 64, 0, lifetime, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	// Until the router's link-local address may be used, there is none to send from.
	_ = unix.Sendto(fd, message, 0, &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(link.Attrs().Index)})
}
