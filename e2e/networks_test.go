// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"

	"dovesnap/e2e/host"
)

// These speak about networks and containers of the host under test as a user
// sees them: through docker, ip and ovs-vsctl, never through dovesnap itself.

// An inspected is what the tests read of "docker network inspect".
type inspected struct {
	ID         string
	Driver     string
	Options    map[string]string
	Containers map[string]struct{ Name, MacAddress, IPv4Address string }
}

func (h *testHost) inspect(network string) inspected {
	h.t.Helper()
	var all []inspected
	if err := json.Unmarshal([]byte(h.docker("network", "inspect", network)), &all); err != nil || len(all) != 1 {
		h.t.Fatalf("cannot read inspect of network %q: %v", network, err)
	}
	return all[0]
}

// container starts a container that waits, on a network, and returns its name.
func (h *testHost) container(name, network string, more ...string) string {
	h.t.Helper()
	args := append([]string{"run", "-td", "--name=" + name, "--net=" + network}, more...)
	h.docker(append(args, "busybox")...)
	return name
}

// mac returns the MAC address that a container's eth0 really has.
func (h *testHost) mac(container string) string {
	h.t.Helper()
	return h.docker("exec", container, "cat", "/sys/class/net/eth0/address")
}

// links returns the names of a container's links.
func (h *testHost) links(container string) string {
	h.t.Helper()
	return strings.Join(strings.Fields(h.docker("exec", container, "ls", "/sys/class/net")), " ")
}

// hostLink returns the name of the host's end of a container's eth0.
func (h *testHost) hostLink(container string) string {
	h.t.Helper()
	index := h.docker("exec", container, "cat", "/sys/class/net/eth0/iflink")
	for _, line := range strings.Split(h.run("ip", "-o", "link"), "\n") {
		if rest, ok := strings.CutPrefix(line, index+": "); ok {
			name, _, _ := strings.Cut(rest, "@")
			return name
		}
	}
	h.t.Fatalf("container %q: the host has no link of index %s", container, index)
	return ""
}

// ofport returns the OpenFlow port number that Open vSwitch gave a container.
func (h *testHost) ofport(container string) string {
	h.t.Helper()
	return h.run("ovs-vsctl", "--timeout=20", "get", "Interface", h.hostLink(container), "ofport")
}

// bridge returns the name of the one bridge there is.
func (h *testHost) bridge() string {
	h.t.Helper()
	names := strings.Fields(h.run("ovs-vsctl", "--timeout=20", "list-br"))
	if len(names) != 1 {
		h.t.Fatalf("bridges are %q, want one", names)
	}
	return names[0]
}

// pings returns an error unless one ping from a container to address is answered.
func (h *testHost) pings(container, address string) error {
	_, err := h.exec(container, "ping", "-c1", "-W1", address)
	return err
}

// reaches waits until a container can ping address.
func (h *testHost) reaches(container, address string) {
	h.t.Helper()
	eventually(h.t, patience, fmt.Sprintf("%s to reach %s", container, address), func() error {
		return h.pings(container, address)
	})
}

// loses waits until a container can no longer ping address.
func (h *testHost) loses(container, address string) {
	h.t.Helper()
	eventually(h.t, patience, fmt.Sprintf("%s not to reach %s", container, address), func() error {
		if h.pings(container, address) == nil {
			return fmt.Errorf("%s still answers", address)
		}
		return nil
	})
}

// seenAs returns the address at which the outside sees a container.
func (h *testHost) seenAs(container string) string {
	h.t.Helper()
	var seen string
	eventually(h.t, patience, container+" to reach the outside", func() (err error) {
		seen, err = h.exec(container, "nc", "-w5", host.OutsideAddress, "80")
		return err
	})
	return seen
}

// withoutGatewayBridge fails the test when Docker gave a container its own way
// out, past the switch.
func (h *testHost) withoutGatewayBridge(containers ...string) {
	h.t.Helper()
	if networks := h.docker("network", "ls", "--format={{.Name}}"); strings.Contains(networks, "docker_gwbridge") {
		h.t.Errorf("networks are %q", strings.Fields(networks))
	}
	for _, c := range containers {
		if links := h.links(c); links != "eth0 lo" {
			h.t.Errorf("container %q has links %q, want eth0 and lo", c, links)
		}
	}
}
