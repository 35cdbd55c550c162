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
	Docker []string // Docker's, though its user chose the name
}

// dockerLinks are the names of Docker's bridges as iptables matches them: docker0,
// docker_gwbridge, and br- with twelve digits of the network's ID. iptables has
// no pattern for digits.
var dockerLinks = []string{"docker+", "br-+"}

// dockerBridge matches the names that Docker gives.
var dockerBridge = regexp.MustCompile(`^(docker0|docker_gwbridge|br-[0-9a-f]{12})$`)

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

// chosen returns the names that Docker did not give, sorted. What iptables would read
// as something else is left out.
func chosen(bridges []string) []string {
	bridges = slices.DeleteFunc(slices.Clone(bridges), func(name string) bool {
		return dockerBridge.MatchString(name) || unspeakable(name)
	})
	slices.Sort(bridges)
	return slices.Compact(bridges)
}

// unspeakable reports whether no rule can name a link: a + at the end is a pattern, and
// iptables-restore drops quotes.
func unspeakable(name string) bool {
	return strings.HasSuffix(name, "+") || strings.ContainsAny(name, `"\`)
}

// KnowDocker hears which bridges Docker's networks have: all of them, as Docker says.
// It reports whether the rules have to be applied again for it.
//
// Docker's rules name bridges as well, sooner than Docker does, but not all of them
// (no rule of an internal network leads to chain DOCKER), and none after a flush. A
// name is therefore forgotten only when Docker says so.
func (t *Table) KnowDocker(bridges []string) (news bool) {
	for _, name := range bridges {
		if unspeakable(name) && !slices.Contains(t.heard, name) {
			t.log.Warn("no rule can keep nat networks from this bridge of Docker's: give it a name of letters and digits", "bridge", name)
		}
	}
	t.heard = bridges
	bridges = chosen(bridges)
	news = !t.asked || !slices.Equal(bridges, t.told)
	t.asked, t.told = true, bridges
	return news && len(t.v4.want.Isolate)+len(t.v6.want.Isolate) > 0
}

// dockers returns what is known of Docker's bridges when the rules are these.
func (t *Table) dockers(now saved) []string {
	names := union(t.told, now.dockerBridges())
	if !t.asked {
		names = union(names, union(t.links.Docker, now.isolated()))
	}
	return names
}

// isolated returns the names that an earlier dovesnap knew, by its rules.
func (s saved) isolated() []string {
	var names []string
	for _, rule := range s["filter"][isolateChain] {
		f := strings.Fields(rule)
		if len(f) == 4 && f[0] == "-o" && f[3] == "DROP" && !slices.Contains(dockerLinks, f[1]) {
			names = append(names, f[1])
		}
	}
	return names
}

// dockerBridges returns the bridges that Docker has rules for and whose names were
// chosen: each has one that leads to chain DOCKER, in FORWARD, from Docker 28 on in
// DOCKER-BRIDGE. Docker's nftables backend has none here.
func (s saved) dockerBridges() []string {
	var names []string
	for _, from := range []string{"FORWARD", "DOCKER-BRIDGE"} {
		for _, rule := range s["filter"][from] {
			f := strings.Fields(rule)
			if len(f) != 4 || f[0] != "-o" || f[2] != "-j" || f[3] != "DOCKER" {
				continue
			}
			names = append(names, f[1])
		}
	}
	return chosen(names)
}

// notDockers returns the names of the host's links that dockerLinks match and that
// are not Docker's: br-lan, br-ex, docker-lan; but for those that docker lists. It
// asks for addresses, not for links: one without is no way out, and those of
// containers have none, however many.
func notDockers(docker []string) ([]string, error) {
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
		like := strings.HasPrefix(name, "br-") || strings.HasPrefix(name, "docker")
		if like && !dockerBridge.MatchString(name) && !slices.Contains(docker, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
