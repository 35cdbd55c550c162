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

// dockerLinks are the names of Docker's bridges as iptables matches them: docker0,
// docker_gwbridge, and br- with twelve digits of the network's ID. iptables has
// no pattern for digits. A bridge that its user named otherwise is not found.
var dockerLinks = []string{"docker+", "br-+"}

var dockerBridge = regexp.MustCompile(`^br-[0-9a-f]{12}$`)

// peers returns the links from which a nat network is reached though it is
// closed: by its own word or the other's.
func peers(n spec.Network, nets []spec.Network, in family) []string {
	var links []string
	for _, o := range nets {
		if o.ID != n.ID && len(gatewayPools(o, in)) > 0 && (allows(n, o) || allows(o, n)) {
			links = append(links, o.Bridge)
		}
	}
	if slices.Contains(n.AllowForward, allNetworks) {
		links = append(links, dockerLinks...)
	}
	return links
}

func allows(n, other spec.Network) bool {
	return slices.Contains(n.AllowForward, allNetworks) || other.Name != "" && slices.Contains(n.AllowForward, other.Name)
}

// renderIsolate drops what goes to Docker's bridges. Docker before 28 protects
// them by FORWARD's policy alone, which our accepts pass by.
func renderIsolate(others []string) []string {
	var rules []string
	for _, name := range others {
		rules = append(rules, "-o "+name+" -j RETURN")
	}
	for _, link := range dockerLinks {
		rules = append(rules, "-o "+link+" -j DROP")
	}
	return rules
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
