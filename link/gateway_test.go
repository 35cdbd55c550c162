// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func subnets(gateways ...string) []spec.Subnet {
	var out []spec.Subnet
	for _, g := range gateways {
		p := netip.MustParsePrefix(g)
		out = append(out, spec.Subnet{Pool: p.Masked(), Gateway: p})
	}
	return out
}

// globals lists a link's addresses but for those IPv6 gives itself.
func globals(t testing.TB, name string) []string {
	t.Helper()
	addrs, err := netlink.AddrList(byName(t, name), netlink.FAMILY_ALL)
	must(t, err)
	out := []string{}
	for _, a := range addrs {
		if a.IP.To4() != nil || !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	slices.Sort(out)
	return out
}

func addAddress(t testing.TB, link, address string) {
	t.Helper()
	a, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrAdd(byName(t, link), a))
}

func TestEnsureGateway(t *testing.T) {
	for name, c := range map[string]struct {
		network spec.Network
		before  []string
		want    []string
		noIPv6  string
	}{
		"nat":           {spec.Network{Mode: spec.NAT, Subnets: subnets("172.12.0.1/24")}, nil, []string{"172.12.0.1/24"}, "1"},
		"routed, v4+v6": {spec.Network{Mode: spec.Routed, Subnets: subnets("172.12.0.1/24", "fd00:12::1/64")}, nil, []string{"172.12.0.1/24", "fd00:12::1/64"}, "0"},
		"flat":          {spec.Network{Mode: spec.Flat, Subnets: subnets("172.12.0.1/24")}, nil, []string{}, "1"},
		"no gateway":    {spec.Network{Mode: spec.NAT, Subnets: []spec.Subnet{{Pool: netip.MustParsePrefix("172.12.0.0/24")}}}, nil, []string{}, "1"},
		"there already": {spec.Network{Mode: spec.NAT, Subnets: subnets("172.12.0.1/24", "172.13.0.1/24")}, []string{"172.13.0.1/24"}, []string{"172.12.0.1/24", "172.13.0.1/24"}, "1"},
		"wrong length":  {spec.Network{Mode: spec.NAT, Subnets: subnets("172.12.0.1/24")}, []string{"172.12.0.1/16"}, []string{"172.12.0.1/16", "172.12.0.1/24"}, "1"},
		"operator's":    {spec.Network{Mode: spec.NAT, Subnets: subnets("172.12.0.1/24")}, []string{"172.12.0.254/24", "169.254.7.7/16"}, []string{"169.254.7.7/16", "172.12.0.1/24", "172.12.0.254/24"}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			newNetns(t)
			ctx, l := deadline(t), newLinks()
			n := c.network
			n.Bridge = "br.test" // a dot is legal in a name and special to sysctl(8)
			addBridge(t, n.Bridge)
			for _, a := range c.before {
				addAddress(t, n.Bridge, a)
			}
			for _, time := range []string{"first", "second"} {
				must(t, ensure(l, ctx, n))
				if diff := cmp.Diff(c.want, globals(t, n.Bridge)); diff != "" {
					t.Errorf("addresses, %s time: %s", time, diff)
				}
				if byName(t, n.Bridge).Attrs().Flags&net.FlagUp == 0 {
					t.Errorf("not up, %s time", time)
				}
			}
			if v := sysctl(t, n.Bridge, "disable_ipv6"); v != c.noIPv6 {
				t.Errorf("disable_ipv6 is %s, want %s", v, c.noIPv6)
			}
			if v := sysctl(t, n.Bridge, "accept_ra"); v != "0" {
				t.Errorf("accept_ra is %s", v)
			}
		})
	}
}

func TestEnsureGatewayUsableAtOnce(t *testing.T) {
	newNetns(t)
	addBridge(t, "br0")
	n := spec.Network{Bridge: "br0", Mode: spec.Routed, Subnets: subnets("fd00:12::1/64")}
	must(t, ensure(newLinks(), deadline(t), n))
	addrs, err := netlink.AddrList(byName(t, "br0"), netlink.FAMILY_V6)
	must(t, err)
	for _, a := range addrs {
		const tentative = 0x40 // IFA_F_TENTATIVE, linux/if_addr.h
		if a.IP.String() == "fd00:12::1" && a.Flags&tentative != 0 {
			t.Error("the gateway waits for duplicate address detection")
		}
	}
}

// The host may take part in a flat network; that is the operator's to decide.
func TestEnsureGatewayKeepsOperators(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	addBridge(t, "br0")
	n := spec.Network{Bridge: "br0", Mode: spec.Flat}
	must(t, ensure(l, ctx, n))
	must(t, setIPv6("br0", "disable_ipv6", "0"))
	addAddress(t, "br0", "192.0.2.5/24")
	addAddress(t, "br0", "2001:db8::5/64")
	must(t, ensure(l, ctx, n))
	if diff := cmp.Diff([]string{"192.0.2.5/24", "2001:db8::5/64"}, globals(t, "br0")); diff != "" {
		t.Error(diff)
	}
}

// IPv6 has an address only once, whatever its length.
func TestEnsureGatewayAddressTaken(t *testing.T) {
	newNetns(t)
	addBridge(t, "br0")
	addAddress(t, "br0", "fd00:12::1/56")
	n := spec.Network{Bridge: "br0", Mode: spec.NAT, Subnets: subnets("fd00:12::1/64")}
	wantError(t, ensure(newLinks(), deadline(t), n), `cannot set up gateway "br0": cannot add address fd00:12::1/64`)
}

// elsewhere runs f on another goroutine in the test's network namespace.
func elsewhere(t testing.TB, f func() error) <-chan error {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		defer here.Close()
		if err := netns.Set(here); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return done
}

func TestEnsureGatewayWaits(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n := spec.Network{Bridge: "br0", Mode: spec.NAT, Subnets: subnets("172.12.0.1/24")}
	done := elsewhere(t, func() error { return ensure(l, ctx, n) })
	addBridge(t, "br0")
	must(t, <-done)
	if got := globals(t, "br0"); len(got) != 1 {
		t.Errorf("addresses are %v", got)
	}
}

func TestEnsureGatewayGivesUp(t *testing.T) {
	newNetns(t)
	ctx, cancel := context.WithCancel(deadline(t))
	done := elsewhere(t, func() error {
		return ensure(newLinks(), ctx, spec.Network{Bridge: "absent", Mode: spec.Flat})
	})
	cancel()
	wantError(t, <-done, `cannot set up gateway "absent"`, "waiting for the bridge's link", "canceled")
}

// ensure is EnsureGateway for tests that only want its error.
func ensure(l *Links, ctx context.Context, n spec.Network) error {
	_, err := l.EnsureGateway(ctx, n)
	return err
}

// Whoever sets a link up is told, to tell the controllers.
func TestEnsureGatewayTellsOfRaising(t *testing.T) {
	newNetns(t)
	addBridge(t, "br0")
	n := spec.Network{Bridge: "br0", Mode: spec.Flat}
	for i, want := range []bool{true, false} {
		raised, err := newLinks().EnsureGateway(deadline(t), n)
		must(t, err)
		if raised != want {
			t.Errorf("call %d: raised %t", i, raised)
		}
	}
}
