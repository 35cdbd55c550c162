// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const eth0RA = ipv6Conf + "/eth0/accept_ra"

// newLearner returns a host that learnt its default route from a router.
func newLearner(t *testing.T, flavour string) *wires {
	t.Helper()
	w := newWires(t, flavour)
	must(t, setSysctl(ipv6Conf+"/default/accept_ra", "1"))
	router := w.connect("eth0", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParseAddr("192.0.2.2"), false)
	for len(learnt(t)) == 0 {
		must(t, w.ctx.Err())
		w.advertise(router)
	}
	return w
}

// A host that learnt its default route must not lose it when it begins to forward:
// the kernel drops such routes at that moment. When it ends, all is as it was.
func TestAdvertisedRouteStays(t *testing.T) {
	const line = "net.ipv6.conf.eth0.accept_ra 1 2"
	for _, flavour := range flavours {
		t.Run(flavour, func(t *testing.T) {
			w := newLearner(t, flavour)
			rules := func() string { return fmt.Sprint(parse(w.save("iptables")), parse(w.save("ip6tables"))) } // no counters
			same := func(when, rulesThen string) {
				t.Helper()
				if diff := cmp.Diff(rulesThen, rules()); diff != "" || w.changed() {
					t.Errorf("%s: Check says %t: %s", when, w.changed(), diff)
				}
			}
			before := rules()
			want := func(when, acceptRA string, listed bool) {
				t.Helper()
				if links := learnt(t); !slices.Contains(links, "eth0") {
					t.Errorf("%s: the default route is gone", when)
				}
				if v := readSysctl(t, eth0RA); v != acceptRA {
					t.Errorf("%s: accept_ra is %s", when, v)
				}
				if is := slices.ContainsFunc(w.Sysctls(), func(c Changed) bool { return c.Key+" "+c.Was+" "+c.Is == line }); is != listed {
					t.Errorf("%s: listed: %+v", when, w.Sysctls())
				}
			}
			w.apply(dualF)
			want("before", "1", false)
			must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
			want("forwarding", "2", true) // with 1 the route would go with its lifetime
			applied := rules()
			must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
			w.apply(dualF)
			same("twice", applied)
			command(t, "ip6tables-"+flavour, "-F")
			w.apply(dualF)
			same("after a flush", applied)
			w.Table = w.table(flavour)
			w.apply(dualF)
			same("after a restart", applied)
			want("after a restart", "2", true)
			must(t, setSysctl(ipv6Forwarding, "0"))
			must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
			same("when somebody switched forwarding off", applied)
			w.apply()
			want("without networks", "1", false)
			same("without networks", before)
		})
	}
}

// However it ends, accept_ra is set back once, and only if it is as we left it.
func TestAcceptRAIsSetBack(t *testing.T) {
	stop := func(w *wires) { w.apply() }
	for name, c := range map[string]struct {
		before string // an administrator's value
		end    func(*wires)
		want   string
	}{
		"cleanup":                  {"1", func(w *wires) { must(w, Cleanup(w.ctx)); must(w, Cleanup(w.ctx)) }, "1"},
		"never applied":            {"1", func(w *wires) { w.Table = w.table("nft"); w.apply() }, "1"},
		"another flavour":          {"1", func(w *wires) { w.Table = w.table("legacy"); w.apply(dualF); w.Table = w.table("legacy"); w.apply() }, "1"},
		"half-way":                 {"1", func(w *wires) { must(w, setSysctl(ipv6Forwarding, "0")); w.Table = w.table("nft"); w.apply() }, "1"},
		"changed since":            {"1", func(w *wires) { must(w, setSysctl(eth0RA, "0")); w.apply() }, "0"},
		"changed since, cleanup":   {"1", func(w *wires) { must(w, setSysctl(eth0RA, "0")); must(w, Cleanup(w.ctx)) }, "0"},
		"the administrator's":      {"2", stop, "2"},
		"the administrator's zero": {"0", stop, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLearner(t, "nft")
			must(t, setSysctl(eth0RA, c.before))
			must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
			c.end(w)
			if v := readSysctl(t, eth0RA); v != c.want {
				t.Errorf("accept_ra is %s, not %s", v, c.want)
			}
			if v := readSysctl(t, ipv6Forwarding); v != "0" {
				t.Error("forwarding is left on")
			}
			if rules := w.both(); strings.Contains(rules, "dovesnap") {
				t.Error("left behind:", rules)
			}
		})
	}
}

// The link may be gone when its accept_ra is to be set back.
func TestAcceptRAGoesWithItsLink(t *testing.T) {
	w := newLearner(t, "nft")
	w.apply(dualF)
	must(t, w.EnsureForwarding(w.ctx, []spec.Network{dualF}))
	command(t, "ip", "link", "del", "eth0")
	w.apply(dualF)
	for _, c := range w.Sysctls() {
		if strings.Contains(c.Key, "accept_ra") {
			t.Errorf("listed without the link: %+v", c)
		}
	}
	w.apply()
	if v := readSysctl(t, ipv6Forwarding); v != "0" {
		t.Error("forwarding is left on")
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
