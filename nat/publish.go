// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"net/netip"
	"strings"

	"dovesnap/spec"
)

// chainOf returns the name of an endpoint's chain.
func chainOf(id spec.EndpointID) string {
	digits := string(id)
	if len(digits) > 16 {
		digits = digits[:16]
	}
	return endpointChain + digits
}

// renderPre begins the chain that leads to those of the endpoints. ::1 is not
// passed on: the kernel never routes what comes from it, and a refusal at once
// sends programs that try "localhost" on to 127.0.0.1.
func renderPre(in family) []string {
	rules := []string{"-m addrtype ! --dst-type LOCAL -j RETURN"}
	if in(netip.IPv6Unspecified()) {
		rules = append(rules, "-d ::1/128 -j RETURN")
	}
	return rules
}

// renderPublished returns the chains of the endpoints whose network's gateway
// the host is.
func renderPublished(nets []spec.Network, endpoints []spec.Endpoint, in family) map[string][]string {
	routed := map[spec.NetworkID]bool{}
	for _, n := range nets {
		routed[n.ID] = len(gatewayPools(n, in)) > 0
	}
	chains := map[string][]string{}
	for _, e := range endpoints {
		if rules := renderEndpoint(e, in); routed[e.Network] && len(rules) > 0 {
			chains[chainOf(e.ID)] = rules
		}
	}
	return chains
}

func renderEndpoint(e spec.Endpoint, in family) []string {
	mark := fmt.Sprintf("-m comment --comment %q", "dovesnap:"+e.Network.Short()+":"+e.ID.Short())
	var rules []string
	for _, p := range e.Published {
		if !in(p.To.Addr()) {
			continue
		}
		to := ""
		if !p.HostIP.IsUnspecified() {
			to = fmt.Sprintf("-d %s ", netip.PrefixFrom(p.HostIP, p.HostIP.BitLen()))
		}
		rules = append(rules, fmt.Sprintf("%s-p %s -m %s --dport %d %s -j DNAT --to-destination %s", to, p.Proto, p.Proto, p.HostPort, mark, p.To))
	}
	return rules
}

// renderPost says whose source address is replaced by the host's.
//
// First of what was redirected to a published port: within a network, since the
// answer would otherwise go from container to container directly, and look like
// a stranger's; and from nat networks anywhere, so that a container that is on
// several networks answers by the one it was asked on. From the host's loopback
// address, which means something else to the container. Everybody else, all of
// the outside above all, is seen under their own address.
func renderPost(nets []spec.Network, in family) []string {
	var redirected, stay, leave []string
	for _, n := range nets {
		pools, mark := gatewayPools(n, in), comment(n)
		for _, p := range pools {
			out := fmt.Sprintf(" -o %s", n.Bridge)
			if n.Mode == spec.NAT {
				out = ""
				leave = append(leave, fmt.Sprintf("-s %s ! -o %s %s -j MASQUERADE", p, n.Bridge, mark))
			}
			redirected = append(redirected, fmt.Sprintf("-s %s%s %s -m conntrack --ctstate DNAT -j MASQUERADE", p, out, mark))
			stay = append(stay, fmt.Sprintf("-d %s %s -j RETURN", p, mark))
		}
		if len(pools) > 0 && in(netip.IPv4Unspecified()) {
			redirected = append(redirected, fmt.Sprintf("-s 127.0.0.0/8 -o %s %s -j MASQUERADE", n.Bridge, mark))
		}
	}
	return append(append(redirected, stay...), leave...)
}

// publishText makes or replaces an endpoint's chain, and with jump leads to it.
func publishText(chain string, rules []string, jump bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n", chain)
	for _, r := range rules {
		fmt.Fprintf(&b, "-A %s %s\n", chain, r)
	}
	if jump {
		fmt.Fprintf(&b, "-A %s -j %s\n", preChain, chain)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func unpublishText(chain string) string {
	return fmt.Sprintf("*nat\n-D %s -j %s\n-F %s\n-X %s\nCOMMIT\n", preChain, chain, chain, chain)
}
