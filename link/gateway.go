// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// EnsureGateway waits, as long as ctx allows, for the bridge's own link to
// exist, sets it up and sees to it that it has the addresses of the network: the
// gateways of its subnets when the host is the gateway, none when flat. Other
// addresses stay: an operator may have the host take part in a flat network. The
// MTU and the MAC of the link are Open vSwitch's to set.
//
// The network's uplinks are set up too, without ARP: what arrives there is for
// the switch, not for the host. ReleaseNetwork undoes that. Where MigrateUplinks
// allows it, what one of them carries of the host's moves to the bridge's link
// first; ReturnUplinks undoes that.
//
// raised reports whether any of these links was down: a controller that
// connected meanwhile may not know that it is up.
func (l *Links) EnsureGateway(ctx context.Context, n spec.Network) (raised bool, err error) {
	if raised, err = ensureGateway(ctx, n); err != nil {
		return raised, fmt.Errorf("cannot set up gateway %q: %w", n.Bridge, err)
	}
	if n.MigrateUplinks {
		if err := l.migrate(ctx, n); err != nil {
			return raised, fmt.Errorf("cannot set up bridge %q: %w", n.Bridge, err)
		}
	}
	for _, u := range n.Uplinks {
		up, err := l.raise(ctx, u.Name)
		if err != nil {
			return raised, fmt.Errorf("cannot set up port %q: %w", u.Name, err)
		}
		raised = raised || up
	}
	return raised, nil
}

func ensureGateway(ctx context.Context, n spec.Network) (raised bool, err error) {
	link, err := await(ctx, n.Bridge)
	if err != nil {
		return false, err
	}
	h, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer h.Close()
	want := gateways(n)
	fresh := link.Attrs().Flags&net.FlagUp == 0
	if err := prepare(ctx, n, fresh, slices.ContainsFunc(want, is6)); err != nil {
		return false, err
	}
	if err := h.LinkSetUp(link); err != nil {
		return false, err
	}
	return fresh, h.ensureAddresses(ctx, link, want)
}

// ensureAddresses adds what is missing.
func (h handle) ensureAddresses(ctx context.Context, link netlink.Link, want []netip.Prefix) error {
	have, err := h.addresses(ctx, link)
	if err != nil {
		return err
	}
	for _, p := range want {
		if slices.Contains(have, p) {
			continue
		}
		addr := &netlink.Addr{IPNet: ipNet(p)}
		if is6(p) {
			// Docker allotted it; a second of duplicate detection would leave
			// the first container without a gateway.
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("cannot add address %s: %w", p, err)
		}
	}
	return nil
}

// await polls for a link: OVS has usually made it by the time its transaction is
// acknowledged, and a subscription costs a goroutine and a race of its own.
func await(ctx context.Context, name string) (netlink.Link, error) {
	pause := time.Millisecond
	for {
		h, err := open(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for the bridge's link: %w", err)
		}
		link, err := h.find(name)
		h.Close()
		if link != nil || err != nil {
			return link, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("waiting for the bridge's link: %w", ctx.Err())
		case <-timer.C:
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// addresses lists a link's addresses of both families, with their lengths.
func (h handle) addresses(ctx context.Context, link netlink.Link) ([]netip.Prefix, error) {
	addrs, err := dump(ctx, func() ([]netlink.Addr, error) { return h.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if bits, _ := a.Mask.Size(); ok {
			out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return out, nil
}

func gateways(n spec.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range n.Subnets {
		if n.Routed() && s.Gateway.IsValid() {
			out = append(out, s.Gateway)
		}
	}
	return out
}

func is6(p netip.Prefix) bool { return p.Addr().Is6() }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
