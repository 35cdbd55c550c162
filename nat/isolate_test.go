// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

// A bridge whose name was chosen is known by Docker's rules, of before 28 and since,
// until Docker says that it is no more: the rules may have been flushed.
func TestNamedDockerBridge(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		h.apply(dualE)
		before := h.both()
		for _, chain := range []string{"FORWARD", "DOCKER-BRIDGE"} {
			h.ipt("-N DOCKER")
			if chain != "FORWARD" {
				h.ipt("-N " + chain)
			}
			h.ipt("-A " + chain + " -o mynet -j DOCKER")
			if !h.changed() {
				t.Error("Check does not see a new bridge of Docker's")
			}
			h.apply(dualE)
			h.closed("known by its rule", "mynet")
			h.ipt("-D " + chain + " -o mynet -j DOCKER")
			if chain != "FORWARD" {
				h.ipt("-X " + chain)
			}
			h.ipt("-X DOCKER")
			h.apply(dualE)
			h.closed("without its rule", "mynet")
			h.Table = h.table(h.flavour)
			h.apply(dualE)
			h.closed("after a restart", "mynet")
			if !h.KnowDocker([]string{"docker0"}) {
				t.Error("what Docker says is no news")
			}
			h.apply(dualE)
			h.same("without it", before)
			h.Table = h.table(h.flavour)
			h.apply(dualE)
		}
	})
}

// Docker says what its rules do not, and is believed when they are flushed.
func TestDockerSaysItsBridges(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		command(t, "ip", "link", "add", "br-own", "type", "bridge")
		command(t, "ip", "address", "add", "192.0.2.1/24", "dev", "br-own")
		if h.KnowDocker([]string{"docker0", "internal"}) {
			t.Error("news without a network to keep apart")
		}
		h.apply(dualE)
		h.closed("known before there are rules", "internal")
		all := []string{"br-own", "docker-own", "docker0", "docker_gwbridge", "br-0123456789ab", "internal", "up+", `a"b`}
		for i, news := range []bool{true, false} {
			if got := h.KnowDocker(all); got != news {
				t.Errorf("told %d times: news %v", i+1, got)
			}
		}
		h.apply(dualE)
		h.closed("told", "br-own", "docker-own", "internal")
		for _, family := range []string{"iptables", "ip6tables"} {
			if rules := h.save(family); strings.Contains(rules, "-o br-own -j RETURN") || strings.Contains(rules, "gwbridge") || strings.Contains(rules, "-o up") || strings.Contains(rules, "-o a") {
				t.Error("rules:", rules)
			}
			command(t, family+"-"+h.flavour, "-F")
		}
		if !h.changed() {
			t.Error("Check does not see the flush")
		}
		h.apply(dualE)
		h.closed("after a flush", "br-own", "internal")
		// Its rules go after it has forgotten the network.
		h.ipt("-N DOCKER")
		h.ipt("-A FORWARD -o internal -j DOCKER")
		h.apply(dualE)
		h.KnowDocker(nil)
		h.apply(dualE)
		h.closed("while it has a rule", "internal")
		h.ipt("-D FORWARD -o internal -j DOCKER")
		if !h.changed() {
			t.Error("Check does not see the end of a bridge of Docker's")
		}
		h.apply(dualE)
		for _, family := range []string{"iptables", "ip6tables"} {
			if rules := h.save(family); !strings.Contains(rules, "-o br-own -j RETURN") || strings.Contains(rules, "internal") {
				t.Error("rules without Docker's networks:", rules)
			}
		}
	})
}

// closed expects that the isolation drops what goes to Docker's bridges, and that
// Check agrees.
func (h *host) closed(when string, bridges ...string) {
	h.Helper()
	for _, bridge := range bridges {
		rule := "-A " + isolateChain + " -o " + bridge + " -j DROP"
		if !strings.Contains(h.save("iptables"), rule) || !strings.Contains(h.save("ip6tables"), rule) {
			h.Errorf("%s: %s is not closed: %s", when, bridge, h.both())
		}
	}
	if h.changed() {
		h.Errorf("%s: Check sees a change", when)
	}
}

// Docker's bridges are closed to nat networks but for published ports, and what
// merely has such a name is not; a network of ours is closed unless one of the two
// allows it.
func TestIsolation(t *testing.T) {
	for _, flavour := range flavours {
		t.Run(flavour, func(t *testing.T) {
			s := newScene(t, flavour, "10.%d.0.%d")
			docker := s.connect("docker0", prefixOf(s, 17), s.at(17, 8), true)
			other := s.connect("br-0123456789ab", prefixOf(s, 18), s.at(18, 8), true)
			if s.changed() {
				t.Error("Check sees a change in Docker's bridges")
			}
			uplink := s.connect("br-lan", prefixOf(s, 19), s.at(19, 8), true)
			named := s.connect("docker-lan", prefixOf(s, 20), s.at(20, 8), true)
			if !s.changed() {
				t.Error("Check does not see a bridge that must not be taken for Docker's")
			}
			s.apply(s.nets...)
			const drop = `-A ` + isolateChain + ` .*-j DROP`
			s.wantDropped("nat to docker0", s.web, docker, drop)
			s.wantDropped("nat to a bridge of Docker's", s.second, other, drop)
			s.wantPasses("nat to an uplink", s.web, uplink, s.at(19, 1))
			s.wantPasses("nat to what has but a name like it", s.web, named, s.at(20, 1))
			s.wantPasses("routed to docker0", s.routed, docker, s.routed.addr)
			command(t, "iptables-"+flavour, "-t", "nat", "-A", "PREROUTING", "-d", s.at(1, 1).String(), "-p", "udp", "--dport", "7", "-j", "DNAT", "--to", docker.addr.String())
			published := away{docker.ns, s.at(1, 1)}
			s.in(docker, func() { command(t, "ip", "address", "add", published.addr.String()+"/32", "dev", "lo") })
			s.serve(docker, 7)
			if got, err := s.ask(s.web, spec.UDP, "10.1.0.1:7"); err != nil || got != s.at(17, 1).String() {
				t.Error("nat to a published port of Docker's:", got, err)
			}

			s.wantDropped("nat to nat", s.second, s.sibling, `-o ovs-e .*-j DROP`)
			s.nets[0].Name = "web"
			s.nets[2].AllowForward = []string{"web"}
			s.apply(s.nets...)
			if got, err := s.ask(s.second, spec.TCP, s.web.addr.String()+":7"); err != nil || got != s.second.addr.String() {
				t.Error("to a network that it allows:", got, err)
			}
			s.wantPasses("and back", s.web, s.second, s.web.addr)
			s.nets[2].AllowForward = []string{"all"}
			s.apply(s.nets...)
			s.wantPasses("all to Docker's", s.second, other, s.at(18, 1))
			s.wantPasses("Docker's to all", other, s.second, other.addr)
		})
	}
}
