// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// UplinkMAC returns the MAC address that the bridge of a network that migrates
// should have, as LocalMAC: its uplink's, so that neighbours and DHCP servers see
// the same host. "" when the network does not migrate, or has no such interface.
func (l *Links) UplinkMAC(ctx context.Context, n spec.Network) (spec.MAC, error) {
	if !n.MigrateUplinks {
		return "", nil
	}
	h, err := openRaw(ctx)
	if err != nil {
		return "", err
	}
	defer h.Close()
	nic, err := h.carrier(ctx, n, nil)
	if nic == nil || err != nil {
		return "", err
	}
	return spec.MAC(nic.Attrs().HardwareAddr.String()), nil
}

// checkMigration refuses to move what could not be moved whole, or what would take
// the host's connection with it. Its uplinks have been checked as uplinks.
func (l *Links) checkMigration(ctx context.Context, n spec.Network) error {
	h, err := openRaw(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	var nic netlink.Link
	var items []item
	for _, u := range n.Uplinks {
		link, err := h.find(u.Name)
		if link == nil || err != nil {
			return err
		}
		carried, err := h.itemsOn(ctx, link)
		switch {
		case err != nil:
			return err
		case len(carried) == 0:
		case nic != nil:
			return fmt.Errorf("cannot migrate ports %q and %q: both carry addresses or routes of the host's, and a bridge stands in for one interface only", nic.Attrs().Name, u.Name)
		default:
			nic, items = link, carried
		}
	}
	if nic == nil {
		return nil
	}
	err = errors.Join(movable(items), h.unruled(ctx, nic), fits(n, nic), h.reached(n, nic))
	if err != nil {
		return fmt.Errorf("cannot migrate port %q: %s", nic.Attrs().Name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if m := manager("/", nic.Attrs().Index); m != "" {
		l.log.Warn("the interface is configured by "+m+", which may do so again. "+tellManager, "network", n.ID.Short(), "port", nic.Attrs().Name)
	}
	return nil
}

const rtaNextHop = 30 // RTA_NH_ID, linux/rtnetlink.h; x/sys lacks it

// movable refuses routes whose next hop is an object of its own (ip-nexthop(8)):
// it stays on its interface.
func movable(items []item) error {
	for _, i := range items {
		if i.Kind == unix.RTM_NEWROUTE && i.attr(rtaNextHop) != nil {
			return fmt.Errorf("its %s is by a nexthop object (ip nexthop), which cannot be moved", i)
		}
	}
	return nil
}

// unruled refuses an interface that a routing rule names.
func (h handle) unruled(ctx context.Context, nic netlink.Link) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := dump(ctx, func() ([]netlink.Rule, error) { return h.RuleList(family) })
		if err != nil {
			return fmt.Errorf("cannot list routing rules: %w", err)
		}
		for _, r := range rules {
			if name := nic.Attrs().Name; r.IifName == name || r.OifName == name {
				return fmt.Errorf("routing rule %d names it (ip rule), and would no longer match", r.Priority)
			}
		}
	}
	return nil
}

// fits refuses a bridge that would be another host to the LAN, or one of another
// MTU, which connections that there are would not survive.
func fits(n spec.Network, nic netlink.Link) error {
	is := nic.Attrs()
	// 0: Open vSwitch takes the smallest of the ports'.
	if n.MTU != is.MTU && (n.MTU != 0 || is.MTU > defaultMTU) {
		return fmt.Errorf("its MTU is %d, and packets of one size would be lost where the other's end; give ovs.bridge.mtu=%d", is.MTU, is.MTU)
	}
	if mac := spec.MAC(is.HardwareAddr.String()); n.LocalMAC != "" && n.LocalMAC != mac {
		return fmt.Errorf("the bridge must have its MAC address %s; leave out ovs.bridge.ovs_local_mac", mac)
	}
	return nil
}

// reached refuses controllers behind the interface: until one has said so, a secure
// bridge passes nothing, not even the host's way to the controller.
func (h handle) reached(n spec.Network, nic netlink.Link) error {
	for _, c := range n.Controllers {
		kind, target, _ := strings.Cut(string(c), ":")
		if kind != "tcp" && kind != "ssl" {
			continue
		}
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			host = strings.Trim(target, "[]")
		}
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return fmt.Errorf("cannot tell whether controller %q is behind it; give the controller's IP address", c)
		}
		routes, err := h.RouteGet(ip.AsSlice())
		if err != nil {
			continue // no way there at all; not this interface's doing
		}
		for _, r := range routes {
			if leavesBy(r, nic.Attrs().Index) {
				return fmt.Errorf("controller %q is behind it: the bridge passes nothing until it has a controller, and the host could not reach this one", c)
			}
		}
	}
	return nil
}
