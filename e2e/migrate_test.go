// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// A host whose only way out goes into a bridge keeps its connection, through the
// deaths of the daemons and a power cut, and has it back as it was in the end.
func TestMigratedUplink(t *testing.T) { eachSuite(t, migratedUplink) }

func migratedUplink(t *testing.T, h *testHost) {
	h.ready()
	d := h.dovesnap()
	before := h.snapshot()
	create := func() {
		h.docker(strings.Fields("network create lan -d ovs --subnet 203.0.113.0/24 -o ovs.bridge.add_ports_force=migrate -o ovs.bridge.add_ports=" + host.Uplink)...)
	}
	create()
	onBridge := func(when string) {
		t.Helper()
		bridge := h.bridge()
		eventually(t, patience, "the host to reach the outside "+when, func() error {
			if out := h.run("ip", "-o", "addr", "show", "dev", host.Uplink, "scope", "global"); out != "" {
				return fmt.Errorf("the interface carries %s", out)
			}
			if out := h.run("ip", "-o", "addr", "show", "dev", bridge, "scope", "global"); !strings.Contains(out, host.HostAddress) || !strings.Contains(out, host.HostAddress6) {
				return fmt.Errorf("the bridge carries %s", out)
			}
			for _, address := range []string{host.OutsideAddress, host.OutsideAddress6} {
				if _, err := h.try("bash", "-c", "exec 3<>/dev/tcp/"+address+"/80 && timeout 5 cat <&3"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	onBridge("by the bridge")
	if mac := h.run("cat", "/sys/class/net/"+h.bridge()+"/address"); mac != h.run("cat", "/sys/class/net/"+host.Uplink+"/address") {
		t.Errorf("the bridge has another MAC: %s", mac)
	}
	h.run("ip", "addr", "add", host.HostAddress+"/30", "dev", host.Uplink)
	onBridge("after somebody configured the interface again")
	h.kill(d)
	d = h.dovesnap()
	onBridge("after dovesnap was killed")
	h.run("pkill", "-KILL", "ovs-vswitchd")
	onBridge("after ovs-vswitchd was killed")
	h.powerCycle()
	h.ready()
	d = h.dovesnap()
	onBridge("after a power cut")
	h.docker("network", "rm", "lan")
	// Docker gives its bridge another MAC at each boot.
	h.nothingLeftSince(before, "docker0", "conf.db.backup-")

	create()
	onBridge("by another network's bridge")
	h.stop(d)
	h.run(host.Program, "cleanup")
	for _, address := range []string{host.HostAddress, host.HostAddress6} {
		if out := h.run("ip", "-o", "addr", "show", "dev", host.Uplink); !strings.Contains(out, address) {
			t.Errorf("after a cleanup, the interface carries %s", out)
		}
	}
	if out := h.run("ip", "link", "show", "dev", host.Uplink); strings.Contains(out, "NOARP") {
		t.Errorf("after a cleanup: %s", out)
	}
}
