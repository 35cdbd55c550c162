// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
)

// What goes while dovesnap is dead is swept by its heir.
func TestPublishedGoneMeanwhile(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.server("web", "net", "-p", "8080:80", "-p", "8080:80/udp")
		p.open(8080)
		p.kill(p.dovesnap)
		_, _ = p.try("docker", "rm", "-f", "web") // Docker's error does not keep it from doing it
		p.dovesnap = p.quickly()
		p.shut(8080)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		p.ends("web")
	})
}

// So does it with the settings that people have, and who comes back gets the port of
// its earlier self at once.
func TestPublishedStoppedMeanwhile(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.stop(p.dovesnap)
		p.dovesnap = h.dovesnap()
		p.server("web", "net", "-p", "8080:80", "-p", "8081:80")
		p.server("gone", "net", "-p", "8090:80")
		p.kill(p.dovesnap)
		_, _ = p.try("docker", "stop", "-t0", "web")
		_, _ = p.try("docker", "rm", "-f", "gone")
		p.dovesnap = h.dovesnap()
		p.docker("start", "web")
		for _, port := range []uint16{8080, 8081} {
			p.open(port)
			if rules := p.rulesOf(port); len(rules) != 1 {
				t.Errorf("rules from port %d to %q", port, rules)
			}
		}
		p.shut(8090)
		p.stop(p.dovesnap)
		p.dovesnap = h.quickly()
		p.ends("web")
	})
}

// On two networks, the one whose gateway the container has publishes; when that
// goes the other takes over.
func TestPublishedOnTwoNetworks(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		h.docker(strings.Fields("network create other -d ovs -o ovs.bridge.mode=nat --subnet 172.20.2.0/24 --gateway 172.20.2.1")...)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		for _, step := range []string{"connect other", "disconnect net", "connect net", "disconnect other"} {
			verb, network, _ := strings.Cut(step, " ")
			t.Log(step)
			p.docker("network", verb, network, "web")
			p.open(8080)
			if rules := p.rulesOf(8080); len(rules) != 1 {
				t.Errorf("after %s: rules to %q", step, rules)
			}
		}
		p.docker("rm", "-f", "web")
		p.docker("network", "rm", "other")
		p.ends()
	})
}

// Old compose files pass --internal to a nat network, and publish ports.
func TestPublishedOnInternal(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.docker("network", "rm", "net")
		p.docker(append(strings.Fields(createNet), "--internal")...)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		p.docker("restart", "-t0", "web")
		p.open(8080)
		p.docker("stop", "-t0", "web")
		p.shut(8080)
		p.ends("web")
	})
}

// A routed network publishes too, though its containers are open anyway to whoever
// has a route.
func TestPublishedOnRouted(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		p.docker("network", "rm", "net")
		p.docker(strings.Fields(strings.Replace(createNet, "mode=nat", "mode=routed", 1))...)
		p.server("web", "net", "-p", "8080:80")
		p.open(8080)
		p.docker("rm", "-f", "web")
		p.shut(8080)
		p.ends()
	})
}
