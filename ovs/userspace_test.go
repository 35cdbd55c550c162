// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"dovesnap/spec"
)

// startUserspace starts a vswitchd whose userspace datapath has real links, in a
// network namespace of its own, which the calling goroutine enters too. The
// goroutine's thread is never unlocked: Go ends it with the test, and the namespace
// with it.
func startUserspace(t testing.TB) *daemons {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("the userspace datapath needs it: %v", err)
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	must(t, err)
	must(t, ns.Close())
	// As dovesnap's own: without it, TCP of a container does not get through.
	return startWith(t, nil, "init", "--", "set", "Open_vSwitch", ".", "other_config:userspace-tso-enable=true")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// container returns a network namespace with one end of a pair, called eth0, whose
// other end, called name, is in the current one.
func container(t testing.TB, name, address string) netns.NsHandle {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	there, err := netns.New()
	must(t, err)
	t.Cleanup(func() { there.Close() })
	must(t, netns.Set(here))
	pair(t, name, "inside")
	link, err := netlink.LinkByName("inside")
	must(t, err)
	must(t, netlink.LinkSetNsFd(link, int(there)))
	inside, err := netlink.NewHandleAt(there)
	must(t, err)
	defer inside.Close()
	if link, err = inside.LinkByName("inside"); err == nil {
		err = inside.LinkSetName(link, "eth0")
	}
	must(t, err)
	addr, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, inside.AddrAdd(link, addr))
	must(t, inside.LinkSetUp(link))
	return there
}

// pair makes two links with a wire between them, and sets them up.
func pair(t testing.TB, name, peer string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := netlink.NewVeth(attrs)
	veth.PeerName = peer
	must(t, netlink.LinkAdd(veth))
	for _, name := range []string{name, peer} {
		// The kernel's own packets would be frames that nobody sent.
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0))
		link, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(link))
	}
}

// inside calls what in a namespace.
func inside(t testing.TB, ns netns.NsHandle, what func()) {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	must(t, netns.Set(ns))
	what()
	must(t, netns.Set(here))
}

// attach gives an endpoint of n a link whose other end is called peer, and its port.
func attach(t testing.TB, s *Switch, n spec.Network, e spec.Endpoint, peer string) {
	t.Helper()
	pair(t, spec.HostLink(e.ID), peer)
	if _, err := s.EnsurePort(t.Context(), n, e); err != nil {
		t.Fatal(err)
	}
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
