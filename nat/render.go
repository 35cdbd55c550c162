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
	forwardChain  = "DOVESNAP-FORWARD" // filter: what may pass to and from the networks
	isolateChain  = "DOVESNAP-DOCKER"  // filter: what passes to Docker's bridges only through a published port
	preChain      = "DOVESNAP-PRE"     // nat: leads to the chains of endpoints
	postChain     = "DOVESNAP-POST"    // nat: whose source address is replaced
	rawChain      = "DOVESNAP-RAW"     // raw: what the switch alone may see
	guardChain    = "DOVESNAP-GUARD"   // filter: see EnsureForwarding
	endpointChain = "DOVESNAP-P-"      // nat: and 16 digits of an endpoint's ID: its published ports
	chainPrefix   = "DOVESNAP-"
)

// Rules are the contents of the chains for both address families.
type Rules struct {
	V4, V6 Family
}

// Family is the contents of one address family's chains: each rule as
// iptables-save prints it after "-A <chain> ".
type Family struct {
	Forward   []string            // empty when the host is no network's gateway
	Isolate   []string            // empty when no network of the family is in mode nat
	Pre       []string            // before the jumps to Published; empty when nothing needs address translation
	Published map[string][]string // by chain, one for each endpoint with published ports
	Post      []string            // empty when Pre is
	Raw       []string            // empty when there are no networks
}

// Render returns the rules that the networks and the endpoints on them need, the
// same for the same ones in any order.
//
// Every packet to a network's bridge is decided by the rules about where it is
// going, before any rule about where it comes from: otherwise the accept of one
// network's containers would open all other networks to them. Traffic between a
// container and the host itself comes by the bridge's link, and none of the
// rules in filter is about it.
//
// What a published port lets through is known by its connection having been
// redirected (ctstate DNAT): an endpoint is one chain and one jump to it, and
// nothing else changes with it.
func Render(nets []spec.Network, endpoints []spec.Endpoint, links Links) Rules {
	nets = slices.Clone(nets)
	slices.SortFunc(nets, func(a, b spec.Network) int { return strings.Compare(string(a.ID), string(b.ID)) })
	v4 := render(nets, endpoints, links, netip.Addr.Is4)
	v6 := render(nets, endpoints, links, netip.Addr.Is6)
	v4.Raw, v6.Raw = renderRaw(nets, netip.Addr.Is4), renderRaw(nets, netip.Addr.Is6)
	return Rules{V4: v4, V6: v6}
}

// family tells the addresses of one address family from the other's.
type family func(netip.Addr) bool

func comment(n spec.Network) string {
	return fmt.Sprintf("-m comment --comment %q", "dovesnap:"+n.ID.Short())
}

// renderRaw keeps the host's own IP from what arrives at a bridge's ports. Open
// vSwitch's userspace datapath reads a copy of each packet (AF_PACKET), and the
// kernel goes on with the original: a container could reach the host, and through
// it the world, around the switch and its controller. The kernel datapath takes
// the packet itself, and nothing gets here. Besides, package link switches ARP off
// on all of these links, and IPv6 on those of containers; an uplink keeps its
// IPv6, whose neighbour discovery would answer a second time (ping says DUP!).
//
// And it drops loopback addresses that come from outside, which the kernel does
// not where route_localnet is set, and which a published port would redirect
// before the kernel could: a port on 127.0.0.1 is for the host alone
// (moby/moby#45610 was that hole). ::1 the kernel drops always, and before.
func renderRaw(nets []spec.Network, in family) []string {
	if len(nets) == 0 {
		return nil
	}
	rules := []string{fmt.Sprintf("-i %s+ -m comment --comment \"dovesnap:ports\" -j DROP", spec.HostLink(""))}
	for _, n := range nets {
		for _, u := range n.Uplinks {
			rules = append(rules, fmt.Sprintf("-i %s %s -j DROP", u.Name, comment(n)))
		}
	}
	if in(netip.IPv4Unspecified()) && needed(nets, netip.Addr.Is4) {
		rules = append(rules,
			"-s 127.0.0.0/8 ! -i lo -m comment --comment \"dovesnap:loopback\" -j DROP",
			"-d 127.0.0.0/8 ! -i lo -m comment --comment \"dovesnap:loopback\" -j DROP")
	}
	return rules
}

func render(nets []spec.Network, endpoints []spec.Endpoint, links Links, in family) Family {
	f := Family{Published: renderPublished(nets, endpoints, in)}
	f.Forward = renderForward(nets, links.Docker, in)
	masquerades := false
	for _, n := range nets {
		masquerades = masquerades || n.Mode == spec.NAT && len(gatewayPools(n, in)) > 0
	}
	if masquerades {
		f.Isolate = renderIsolate(links)
	}
	if masquerades || len(f.Published) > 0 {
		f.Pre = renderPre(in)
		f.Post = renderPost(nets, in)
	}
	return f
}

func renderForward(nets []spec.Network, docker []string, in family) []string {
	var to, from []string
	for _, n := range nets {
		if len(gatewayPools(n, in)) == 0 {
			continue
		}
		mark := comment(n)
		if n.Mode != spec.NAT {
			to = append(to, fmt.Sprintf("-o %s %s -j ACCEPT", n.Bridge, mark))
			from = append(from, fmt.Sprintf("-i %s %s -j ACCEPT", n.Bridge, mark))
			continue
		}
		to = append(to,
			fmt.Sprintf("-o %s %s -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT", n.Bridge, mark),
			fmt.Sprintf("-i %s -o %s %s -j ACCEPT", n.Bridge, n.Bridge, mark))
		for _, link := range peers(n, nets, docker, in) {
			to = append(to, fmt.Sprintf("-i %s -o %s %s -j ACCEPT", link, n.Bridge, mark))
		}
		to = append(to, fmt.Sprintf("-o %s %s -j DROP", n.Bridge, mark))
		if !slices.Contains(n.AllowForward, allNetworks) {
			from = append(from, fmt.Sprintf("-i %s %s -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j %s", n.Bridge, mark, isolateChain))
		}
		from = append(from, fmt.Sprintf("-i %s %s -j ACCEPT", n.Bridge, mark))
	}
	return append(to, from...)
}

// gatewayPools returns the pools of one family that the host is the gateway of;
// none for a flat network.
func gatewayPools(n spec.Network, in family) []netip.Prefix {
	var pools []netip.Prefix
	for _, s := range n.Subnets {
		if n.Routed() && s.Gateway.IsValid() && in(s.Pool.Addr()) {
			pools = append(pools, s.Pool.Masked())
		}
	}
	return pools
}

// forwards reports whether the host is a network's gateway.
func (f Family) forwards() bool { return len(f.Forward) > 0 }

// keepsOff reports whether all there is keeps the host's IP off the switch's ports,
// which a host whose networks are of the other family can do without.
func (f Family) keepsOff() bool {
	f.Raw = nil
	return f.empty()
}
