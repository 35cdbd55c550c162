// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// CheckUplink refuses an interface that cannot go into a bridge without cutting
// the host off or taking it from somebody else. An interface that is in the
// network's own bridge already is refused too (the kernel shows it as a port of
// ovs-system, not of which bridge): ask OVSDB first.
func (l *Links) CheckUplink(ctx context.Context, u spec.Uplink) error {
	if err := checkUplink(ctx, u.Name); err != nil {
		return fmt.Errorf("cannot add port %q: %w", u.Name, err)
	}
	return nil
}

func checkUplink(ctx context.Context, name string) error {
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.find(name)
	if err != nil {
		return err
	}
	if link == nil {
		return errors.New("there is no such interface")
	}
	master := ""
	if index := link.Attrs().MasterIndex; index != 0 {
		if m, err := h.LinkByIndex(index); err == nil {
			master = m.Attrs().Name
		} else {
			master = fmt.Sprintf("interface %d", index)
		}
	}
	addrs, err := h.addresses(ctx, link)
	if err != nil {
		return err
	}
	gateway, err := h.hasDefaultRoute(ctx, link.Attrs().Index)
	if err != nil {
		return err
	}
	return refuse(link, master, addrs, gateway)
}

// refuse says why the interface cannot be an uplink, nil when it can.
func refuse(link netlink.Link, master string, addrs []netip.Prefix, defaultRoute bool) error {
	is := link.Attrs()
	_, ours := spec.ParseAlias(is.Alias)
	switch {
	case is.Flags&net.FlagLoopback != 0:
		return errors.New("it is the loopback interface")
	case ours || halfMade(link):
		return errors.New("it is a container's link, made by dovesnap")
	case link.Type() == "bridge" || link.Type() == "openvswitch":
		return errors.New("it is a bridge itself; name one of its ports, or a veth or patch port to it")
	case master == "ovs-system":
		return errors.New("it is a port of an Open vSwitch bridge already (`ovs-vsctl iface-to-br` tells which)")
	case master != "":
		return fmt.Errorf("it is a port of %s already; take it out first (ip link set %s nomaster)", master, is.Name)
	case defaultRoute:
		return errors.New("it carries the host's default route; the host would be cut off")
	}
	for _, p := range addrs {
		if !p.Addr().IsLinkLocalUnicast() {
			return fmt.Errorf("it carries the host's address %s, which would stop working; remove that first (ip address del %s dev %s)", p, p, is.Name)
		}
	}
	return nil
}

// hasDefaultRoute looks in every routing table, for either family.
func (h handle) hasDefaultRoute(ctx context.Context, index int) (bool, error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(ctx, func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: 0}, netlink.RT_FILTER_TABLE) // 0: all tables
		})
		if err != nil {
			return false, fmt.Errorf("cannot list routes: %w", err)
		}
		for _, r := range routes {
			if isDefault(r) && leavesBy(r, index) {
				return true, nil
			}
		}
	}
	return false, nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	bits, _ := r.Dst.Mask.Size()
	return bits == 0
}

func leavesBy(r netlink.Route, index int) bool {
	for _, hop := range r.MultiPath {
		if hop.LinkIndex == index {
			return true
		}
	}
	return r.LinkIndex == index
}

// PrepareUplink sets the interface up. Promiscuous mode is Open vSwitch's to
// switch.
func (l *Links) PrepareUplink(ctx context.Context, u spec.Uplink) error {
	h, err := open(ctx)
	if err != nil {
		return fmt.Errorf("cannot set up port %q: %w", u.Name, err)
	}
	defer h.Close()
	link, err := h.LinkByName(u.Name)
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("cannot set up port %q: %w", u.Name, err)
	}
	return nil
}

// CheckName refuses a name for a new bridge that an interface has already, as
// its name or as an alternative one. Call it only for bridges that OVSDB does
// not have: it would refuse the bridge's own link.
func (l *Links) CheckName(ctx context.Context, name string) error {
	h, err := open(ctx)
	if err != nil {
		return fmt.Errorf("cannot name bridge %q: %w", name, err)
	}
	defer h.Close()
	link, err := h.find(name)
	if err != nil {
		return fmt.Errorf("cannot name bridge %q: %w", name, err)
	}
	if link != nil {
		return fmt.Errorf("cannot name bridge %q: the host has an interface of that name (type %s)", name, link.Type())
	}
	return nil
}
