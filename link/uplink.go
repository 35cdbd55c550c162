// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// checkUplink refuses an interface that cannot go into a bridge without cutting
// the host off or taking it from somebody else.
//
// migrates: what it carries of the host's moves to the bridge, and is no reason.
func checkUplink(ctx context.Context, name string, migrates bool) error {
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
	if migrates {
		addrs, gateway = nil, false
	}
	return refuse(link, master, addrs, gateway)
}

const migrateHint = "-o ovs.bridge.add_ports_force=migrate moves it to the bridge"

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
		return errors.New("it carries the host's default route; the host would be cut off (" + migrateHint + ")")
	}
	for _, p := range addrs {
		if !p.Addr().IsLinkLocalUnicast() {
			return fmt.Errorf("it carries the host's address %s, which would stop working; remove that first (ip address del %s dev %s; %s)", p, p, is.Name, migrateHint)
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

// raise sets an uplink up, without ARP; promiscuous mode is Open vSwitch's to
// switch. One that is unplugged at the moment is not an error here: Open vSwitch
// reports it on the port, and the rest of the network must not wait for it.
func (l *Links) raise(ctx context.Context, name string) (raised bool, err error) {
	h, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer h.Close()
	link, err := h.find(name)
	if link == nil || err != nil {
		return false, err
	}
	if answersARP(link) {
		l.log.Info("switching ARP off: the interface is in a bridge", "port", name)
		if err := h.LinkSetARPOff(link); err != nil {
			return false, err
		}
	}
	return link.Attrs().Flags&net.FlagUp == 0, h.LinkSetUp(link)
}

// answersARP reports whether the kernel answers ARP requests that arrive on the
// link. It must not on a port of a bridge: Open vSwitch's userspace datapath
// reads a copy of each packet (AF_PACKET), the kernel goes on with the original,
// and answers for every address of the host, whatever the interface. Traffic
// between a container and the host would then go around the switch and its
// controller.
func answersARP(link netlink.Link) bool { return link.Attrs().RawFlags&unix.IFF_NOARP == 0 }

// ReleaseNetwork gives the network's uplinks back to the host: ARP is on again,
// and they stay up. One that is gone is fine, and an error with one does not keep
// the others. Call it when the network's bridge has been removed: vswitchd puts a
// port's flags back to what it remembers when it lets go of it, ARP off among
// them.
func (l *Links) ReleaseNetwork(ctx context.Context, n spec.Network) error {
	var problems []string
	for _, u := range n.Uplinks {
		if err := l.release(ctx, u.Name); err != nil {
			problems = append(problems, fmt.Sprintf("cannot release port %q: %v", u.Name, err))
		}
	}
	if n.MigrateUplinks {
		if err := l.settle(ctx, n.ID); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

func (l *Links) release(ctx context.Context, name string) error {
	link, err := letGo(ctx, name)
	if link == nil || err != nil || answersARP(link) {
		return err
	}
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	l.log.Info("switching ARP on again: the interface has left its bridge", "port", name)
	if err := h.LinkSetARPOn(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// letGoWithin bounds the wait for vswitchd; whoever else wants an interface
// promiscuous keeps it so for longer.
const letGoWithin = 2 * time.Second

// letGo waits until vswitchd has let go of a port, which is when it is no longer
// promiscuous. nil when there is no such interface.
func letGo(ctx context.Context, name string) (netlink.Link, error) {
	h, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	over := time.After(letGoWithin)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		link, err := h.find(name)
		if link == nil || err != nil || link.Attrs().RawFlags&unix.IFF_PROMISC == 0 {
			return link, err
		}
		select {
		case <-ctx.Done():
			return link, nil
		case <-over:
			return link, nil
		case <-tick.C:
		}
	}
}
