// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// A nat network reaches no container on a bridge of Docker's own, whatever its name
// and kind, whoever flushes the rules and who of the three is started again.
func TestDockersBridgesAreClosed(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) { closedToNat(t, h) })
	t.Run("Docker 29, nftables", func(t *testing.T) {
		t.Parallel()
		closedToNat(t, docker29(t), "--firewall-backend=nftables")
	})
}

func closedToNat(t *testing.T, h *testHost, flags ...string) {
	dockerd := h.warmDockerd(flags...)
	daemon := h.dovesnap()
	theirs := map[string]string{
		"named":  "-o com.docker.network.bridge.name=own0",
		"br":     "-o com.docker.network.bridge.name=br-own",
		"plain":  "-o com.docker.network.bridge.name=plain0 -o com.docker.network.bridge.enable_ip_masquerade=false",
		"inner":  "-o com.docker.network.bridge.name=inner0 --internal",
		"unique": "",
	}
	if h.suite() == "forky" { // since Docker 27
		theirs["routed"] = "-o com.docker.network.bridge.name=routed0 -o com.docker.network.bridge.gateway_mode_ipv4=routed"
	}
	h.docker(strings.Fields("network create net -d ovs -o ovs.bridge.mode=nat --subnet 172.20.1.0/24 --gateway 172.20.1.1")...)
	h.docker(strings.Fields("network create open -d ovs -o ovs.bridge.mode=routed --subnet 172.20.2.0/24 --gateway 172.20.2.1")...)
	h.docker("run", "-td", "--name=box", "--net=net", "--restart=always", "busybox")
	h.docker("run", "-td", "--name=passer", "--net=open", "--restart=always", "busybox")
	addresses, next := map[string]string{}, 10
	create := func(name string) {
		h.docker(append(strings.Fields("network create "+theirs[name]+fmt.Sprintf(" --subnet 172.20.%d.0/24", next)), name)...)
		h.docker("run", "-td", "--name="+name, "--net="+name, "--restart=always", "--cap-add=NET_ADMIN", "busybox")
		addresses[name], next = fmt.Sprintf("172.20.%d.2", next), next+1
	}
	// Who is on an internal network answers nobody else without a route.
	routes := func() {
		for name, address := range addresses {
			_, _ = h.exec(name, "ip", "route", "add", "default", "via", strings.TrimSuffix(address, "2")+"1") // the others have it
		}
	}
	closed := func(when string) {
		t.Helper()
		t.Log(when)
		h.reaches("box", "172.20.1.1")
		routes()
		for name, address := range addresses {
			if _, err := h.try("ping", "-c1", "-W5", address); err != nil {
				t.Errorf("%s: the host does not reach %s: %v", when, name, err)
			}
			if h.pings("box", address) == nil {
				t.Errorf("%s: a nat network reaches %s", when, name)
			}
		}
	}
	known := func(names ...string) {
		t.Helper()
		eventually(t, patience, "Docker's bridges to be known", func() error {
			rules := h.run("iptables-save", "-t", "filter")
			for _, name := range names {
				if !strings.Contains(rules, "-A DOVESNAP-DOCKER -o "+name+" -j DROP") {
					return errors.New(name + " is not closed: " + rules)
				}
			}
			return nil
		})
	}
	for name := range theirs {
		create(name)
	}
	names := []string{"own0", "br-own", "plain0", "inner0"}
	known(names...)
	closed("at first")

	h.run("nft", "flush", "ruleset")
	known(names...)
	routes()
	for name, address := range addresses { // else the next check shows nothing
		if err := h.pings("passer", address); err != nil {
			t.Errorf("without Docker's rules, a routed network does not reach %s: %v", name, err)
		}
	}
	closed("flushed")
	h.kill(daemon)
	daemon = h.dovesnap()
	known(names...)
	closed("dovesnap killed after the flush")
	h.kill(dockerd)
	h.run("nft", "flush", "ruleset")
	known(names...)
	dockerd = h.dockerd(flags...)
	h.reaches("box", "172.20.1.1") // has been started again
	for name := range theirs {
		eventually(t, patience, name+" to be started again", func() error {
			if h.docker("inspect", "-f", "{{.State.Running}}", name) != "true" {
				return errors.New("it is not")
			}
			return nil
		})
	}
	known(names...)
	addresses = map[string]string{}
	for name := range theirs { // which may have changed places
		addresses[name] = h.addresses(name)[0]
	}
	closed("dockerd killed")

	h.docker(append([]string{"rm", "-f"}, slices.Collect(maps.Keys(theirs))...)...)
	h.docker(append([]string{"network", "rm"}, slices.Collect(maps.Keys(theirs))...)...)
	eventually(t, patience, "Docker's bridges to be forgotten", func() error {
		if rules := h.run("iptables-save", "-t", "filter"); strings.Contains(rules, "-o inner0 -j DROP") || strings.Contains(rules, "-o own0 -j DROP") {
			return errors.New(rules)
		}
		return nil
	})
	h.docker("rm", "-f", "box", "passer")
	h.docker("network", "rm", "net", "open")
	h.stop(daemon)
	h.stop(dockerd)
	h.run(host.Program, "cleanup")
}
