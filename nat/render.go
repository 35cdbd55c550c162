// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dovesnap/spec"
)

// The chains. iptables allows names of up to 28 bytes.
const (
	forwardChain = "DOVESNAP-FORWARD" // filter: what may pass to and from the networks
	postChain    = "DOVESNAP-POST"    // nat: whose source address is replaced
	rawChain     = "DOVESNAP-RAW"     // raw: what the switch alone may see
	guardChain   = "DOVESNAP-GUARD"   // filter: see EnsureForwarding
	chainPrefix  = "DOVESNAP-"
)

// Rules are the contents of the chains for both address families.
type Rules struct {
	V4, V6 Family
}

// Family is the contents of one address family's chains: each rule as
// iptables-save prints it after "-A <chain> ".
type Family struct {
	Forward []string // empty when the host is no network's gateway
	Post    []string // empty when no network of the family is in mode nat
	Raw     []string // of IPv4 only, for every network
}

// Render returns the rules that the networks need, the same for the same
// networks in any order.
//
// Every packet to a network's bridge is decided by the rules about where it is
// going, before any rule about where it comes from: otherwise the accept of one
// network's containers would open all other networks to them. Traffic between a
// container and the host itself comes by the bridge's link, and none of the
// rules is about it.
func Render(nets []spec.Network) Rules {
	nets = slices.Clone(nets)
	slices.SortFunc(nets, func(a, b spec.Network) int { return strings.Compare(string(a.ID), string(b.ID)) })
	v4 := render(nets, netip.Addr.Is4)
	v4.Raw = renderRaw(nets)
	return Rules{V4: v4, V6: render(nets, netip.Addr.Is6)}
}

// renderRaw keeps the host's own IP from what arrives at a bridge's ports. Open
// vSwitch's userspace datapath reads a copy of each packet (AF_PACKET), and the
// kernel goes on with the original: a container could reach the host, and through
// it the world, around the switch and its controller. The kernel datapath takes
// the packet itself, and nothing gets here. Besides, package link switches ARP off
// on all of these links, and IPv6 on those of containers.
func renderRaw(nets []spec.Network) []string {
	if len(nets) == 0 {
		return nil
	}
	rules := []string{fmt.Sprintf("-i %s+ -m comment --comment \"dovesnap:ports\" -j DROP", spec.HostLink(""))}
	for _, n := range nets {
		for _, u := range n.Uplinks {
			rules = append(rules, fmt.Sprintf("-i %s -m comment --comment %q -j DROP", u.Name, "dovesnap:"+n.ID.Short()))
		}
	}
	return rules
}

func render(nets []spec.Network, in func(netip.Addr) bool) Family {
	var to, from, stay, leave []string
	for _, n := range nets {
		pools := gatewayPools(n, in)
		if len(pools) == 0 {
			continue
		}
		mark := fmt.Sprintf("-m comment --comment %q", "dovesnap:"+n.ID.Short())
		to = append(to, fmt.Sprintf("-o %s %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", n.Bridge, mark))
		if n.Mode == spec.NAT {
			to = append(to,
				fmt.Sprintf("-i %s -o %s %s -j ACCEPT", n.Bridge, n.Bridge, mark),
				fmt.Sprintf("-o %s %s -j DROP", n.Bridge, mark))
		} else {
			to = append(to, fmt.Sprintf("-o %s %s -j ACCEPT", n.Bridge, mark))
		}
		from = append(from, fmt.Sprintf("-i %s %s -j ACCEPT", n.Bridge, mark))
		for _, p := range pools {
			stay = append(stay, fmt.Sprintf("-d %s %s -j RETURN", p, mark))
			if n.Mode == spec.NAT {
				leave = append(leave, fmt.Sprintf("-s %s ! -o %s %s -j MASQUERADE", p, n.Bridge, mark))
			}
		}
	}
	f := Family{Forward: append(to, from...)}
	if len(leave) > 0 {
		f.Post = append(stay, leave...)
	}
	return f
}

// gatewayPools returns the pools of one family that the host is the gateway of;
// none for a flat network.
func gatewayPools(n spec.Network, in func(netip.Addr) bool) []netip.Prefix {
	var pools []netip.Prefix
	for _, s := range n.Subnets {
		if n.Routed() && s.Gateway.IsValid() && in(s.Pool.Addr()) {
			pools = append(pools, s.Pool.Masked())
		}
	}
	return pools
}

func (f Family) empty() bool { return len(f.Forward)+len(f.Post)+len(f.Raw) == 0 }

// forwards reports whether the host is a network's gateway.
func (f Family) forwards() bool { return len(f.Forward) > 0 }

// String returns the text that iptables-restore --noflush turns into exactly
// these chains: declaring a chain empties it, and each table is committed as a
// whole.
func (f Family) String() string {
	return restoreText("raw", rawChain, f.Raw) + restoreText("filter", forwardChain, f.Forward) + restoreText("nat", postChain, f.Post)
}

// String returns both families' text, for people.
func (r Rules) String() string {
	return "# iptables-restore --noflush\n" + r.V4.String() + "# ip6tables-restore --noflush\n" + r.V6.String()
}

func restoreText(table, chain string, rules []string) string {
	if len(rules) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n:%s - [0:0]\n", table, chain)
	for _, r := range rules {
		fmt.Fprintf(&b, "-A %s %s\n", chain, r)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
