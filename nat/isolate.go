// SPDX-License-Identifier: Apache-2.0

package nat

import (
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
	for _, name := range slices.Sorted(slices.Values(others)) {
		rules = append(rules, "-o "+name+" -j RETURN")
	}
	for _, link := range dockerLinks {
		rules = append(rules, "-o "+link+" -j DROP")
	}
	return rules
}

// notDockers returns the host's links that dockerLinks match and that are not
// Docker's: br-lan, br-ex, br-int. One that appears later is closed to nat
// networks until the next Apply.
func notDockers() ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range links {
		if name := l.Attrs().Name; strings.HasPrefix(name, "br-") && !dockerBridge.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}
