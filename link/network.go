// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"dovesnap/spec"
)

// CheckNetwork refuses a new network whose bridge has the name of an interface,
// whose subnets the host is on already, or whose uplinks cannot go into a bridge
// without cutting the host off or taking them from somebody else. The error names
// everything that is wrong.
//
// Call it only for a network that OVSDB does not have yet: it refuses the
// network's own bridge, and uplinks that are in it (the kernel shows them as
// ports of ovs-system, not of which bridge).
func (l *Links) CheckNetwork(ctx context.Context, n spec.Network) error {
	var problems []string
	if err := checkName(ctx, n.Bridge); err != nil {
		problems = append(problems, fmt.Sprintf("cannot make bridge %q: %v", n.Bridge, err))
	}
	if err := checkSubnets(ctx, n); err != nil {
		problems = append(problems, err.Error())
	}
	for _, u := range n.Uplinks {
		if err := checkUplink(ctx, u.Name, n.MigrateUplinks && !u.Coprocessor); err != nil {
			problems = append(problems, fmt.Sprintf("cannot add port %q: %v", u.Name, err))
		}
	}
	if n.MTU > 0 && n.MTU < minMTU6 && slices.ContainsFunc(gateways(n), is6) {
		problems = append(problems, fmt.Sprintf("cannot make bridge %q: IPv6 needs an MTU of at least %d", n.Bridge, minMTU6))
	}
	if len(problems) == 0 && n.MigrateUplinks {
		if err := l.checkMigration(ctx, n); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// minMTU6 is IPv6's smallest MTU (RFC 8200 section 5); the kernel takes IPv6 off a
// link that has less.
const minMTU6 = 1280

// checkName looks among the alternative names of interfaces, too.
func checkName(ctx context.Context, name string) error {
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.find(name)
	if link == nil || err != nil {
		return err
	}
	return fmt.Errorf("the host has an interface of that name already (type %s)", link.Type())
}

// checkSubnets refuses a subnet that overlaps one of the host's own: the host
// would have two ways to it, and lose one. A flat network gives it none.
func checkSubnets(ctx context.Context, n spec.Network) error {
	pools := gateways(n)
	if len(pools) == 0 {
		return nil
	}
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	addrs, err := dump(ctx, func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("cannot list addresses: %w", err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		own := netip.PrefixFrom(ip.Unmap(), bits)
		for _, p := range pools {
			if p.Overlaps(own) {
				return fmt.Errorf("subnet %s overlaps %s, which the host has on an interface of its own (%s); choose another with --subnet", p.Masked(), own, linkOf(h, a.LinkIndex))
			}
		}
	}
	return nil
}

func linkOf(h handle, index int) string {
	link, err := h.LinkByIndex(index)
	if err != nil {
		return fmt.Sprintf("interface %d", index)
	}
	return link.Attrs().Name
}
