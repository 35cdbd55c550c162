// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
)

// olderCompose says what compose files have said since 2020, of the driver under its
// other name.
const olderCompose = `version: "3.7"
services:
  both:
    image: busybox
    command: sleep 86400
    networks: [left, right]
    labels:
      - "dovesnap.faucet.portacl=proj_left:open/proj_right:no-icmp"
      - "dovesnap.faucet.mac_prefix=0e:99"
networks:
  left:
    driver: dovesnap
    internal: true
    driver_opts:
      ovs.bridge.mode: nat
      ovs.bridge.dpid: "0x20"
      ovs.bridge.controller: tcp:127.0.0.1:6653
      ovs.bridge.vlan: "120"
      ovs.bridge.preallocate_ports: "15"
    ipam:
      config: [{subnet: 172.21.0.0/24}]
  right:
    driver: dovesnap
    driver_opts:
      ovs.bridge.mode: nat
      ovs.bridge.dpid: "0x21"
      ovs.bridge.controller: tcp:127.0.0.1:6653,tcp:127.0.0.1:6654
      ovs.bridge.default_acl: open
    ipam:
      config: [{subnet: 172.22.0.0/24}]
`

// Compose's networks and labels, those of docs/faucet.md and older ones: up, started
// again, and down without a trace.
func TestCompose(t *testing.T) {
	var page, operators string
	for _, b := range append(blocks(t, "../docs/faucet.md", "Docker Compose"), blocks(t, "../docs/faucet.md", "file")...) {
		switch {
		case strings.HasPrefix(b, "services:"):
			page = b
		case strings.HasPrefix(b, "acls:"):
			operators = b
		}
	}
	eachSuite(t, func(t *testing.T, h *testHost) {
		s := h.managed("file", operators)
		h.stop(s.daemon)
		s.daemon = h.dovesnap(append(managedFile, "--controllers=tcp:127.0.0.1:6653")...)
		h.reaches(h.container("first", "bridge"), "172.17.0.1") // so that Docker's own is as it stays
		h.docker("rm", "-f", "first")
		before := h.snapshot()
		compose := func(args ...string) {
			t.Helper()
			h.run(append([]string{"docker-compose", "--project-name=proj", "--file=/root/compose.yaml"}, args...)...)
		}
		for _, c := range []struct {
			file  string
			works func()
		}{
			{page, func() {
				web, quiet := h.docker("ps", "-q", "--filter=name=web"), h.docker("ps", "-q", "--filter=name=quiet")
				h.reaches(web, "172.12.0.1")
				h.seenAs(quiet)
				if h.pings(web, "quiet") == nil || h.pings(quiet, "172.12.0.1") == nil {
					t.Error("quiet answers a ping, or asks for one")
				}
				s.isTold([]string{"mynet"})
			}},
			{olderCompose, func() {
				both := h.docker("ps", "-q", "--filter=name=both")
				h.reaches(both, "172.21.0.1")
				h.seenAs(both)
				if h.pings(both, "172.22.0.1") == nil {
					t.Error("the ACL of the label's second part is not in force")
				}
				if macs := h.docker("exec", both, "sh", "-c", "cat /sys/class/net/eth*/address"); strings.Count(macs, "0e:99:") != 2 {
					t.Errorf("its addresses are %q", macs)
				}
				s.isTold([]string{"proj_left", "proj_right", "0x20", "native_vlan: 120"})
			}},
		} {
			if err := h.WriteFile("/root/compose.yaml", c.file, 0o644); err != nil {
				t.Fatal(err)
			}
			compose("up", "-d")
			c.works()
			compose("restart", "-t0")
			c.works()
			compose("down", "-t0")
			s.isTold(nil, "mynet", "proj_")
			h.nothingLeftSince(before, "/run/dovesnap/faucet") // what Faucet may still have in force
		}
	})
}
