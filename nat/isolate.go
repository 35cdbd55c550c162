// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// allNetworks in a network's AllowForward stands for all of ours, and Docker's.
const allNetworks = "all"

// Links are names of the host's that dockerLinks gets wrong, each sorted.
type Links struct {
	Others []string // have a name like it, and are not Docker's
	Docker []string // Docker's, though its user named them otherwise
}

// dockerLinks are the names of Docker's bridges as iptables matches them: docker0,
// docker_gwbridge, and br- with twelve digits of the network's ID. iptables has
// no pattern for digits.
var dockerLinks = []string{"docker+", "br-+"}

var dockerBridge = regexp.MustCompile(`^br-[0-9a-f]{12}$`)

// peers returns the links from which a nat network is reached though it is
// closed: by its own word or the other's.
func peers(n spec.Network, nets []spec.Network, docker []string, in family) []string {
	var links []string
	for _, o := range nets {
		if o.ID != n.ID && len(gatewayPools(o, in)) > 0 && (allows(n, o) || allows(o, n)) {
			links = append(links, o.Bridge)
		}
	}
	if slices.Contains(n.AllowForward, allNetworks) {
		links = append(append(links, dockerLinks...), docker...)
	}
	return links
}

func allows(n, other spec.Network) bool {
	return slices.Contains(n.AllowForward, allNetworks) || other.Name != "" && slices.Contains(n.AllowForward, other.Name)
}

// renderIsolate drops what goes to Docker's bridges. Docker before 28 protects
// them by FORWARD's policy alone, which our accepts pass by.
func renderIsolate(links Links) []string {
	var rules []string
	for _, name := range links.Others {
		rules = append(rules, "-o "+name+" -j RETURN")
	}
	for _, name := range slices.Concat(dockerLinks, links.Docker) {
		rules = append(rules, "-o "+name+" -j DROP")
	}
	return rules
}

// dockerBridges returns the bridges that Docker has rules for and that its user
// named: each has one that leads to chain DOCKER, in FORWARD, from Docker 28 on in
// DOCKER-BRIDGE. Docker's nftables backend has none here, and needs no help: what
// iptables accepts, its own table drops.
func (s saved) dockerBridges() []string {
	var names []string
	for _, from := range []string{"FORWARD", "DOCKER-BRIDGE"} {
		for _, rule := range s["filter"][from] {
			f := strings.Fields(rule)
			if len(f) != 4 || f[0] != "-o" || f[2] != "-j" || f[3] != "DOCKER" {
				continue
			}
			if name := f[1]; !strings.HasPrefix(name, "docker") && !strings.HasPrefix(name, "br-") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// notDockers returns the names of the host's links that dockerLinks match and that
// are not Docker's: br-lan, br-ex, br-int. It asks for addresses, not for links:
// one without is no way out, and those of containers have none, however many.
func notDockers() ([]string, error) {
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // then the next look will do
		return nil, err
	}
	links := map[int]string{}
	for _, a := range addresses {
		if a.Label != "" { // of IPv4: the link, or link:alias
			links[a.LinkIndex], _, _ = strings.Cut(a.Label, ":")
		}
	}
	for _, a := range addresses {
		if links[a.LinkIndex] == "" {
			if l, err := netlink.LinkByIndex(a.LinkIndex); err == nil {
				links[a.LinkIndex] = l.Attrs().Name
			}
		}
	}
	var names []string
	for _, name := range links {
		if strings.HasPrefix(name, "br-") && !dockerBridge.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
