// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

const uninstallOVS = "mkdir /srv/gone && mv $(command -v ovsdb-server ovs-vswitchd ovsdb-tool ovs-ofctl) /usr/share/openvswitch /srv/gone"

// A purge of both packages has Open vSwitch's programs gone first; what runs still
// answers.
func TestCleanupAfterOpenVSwitchIsGone(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		s := newSite(t, h)
		s.kill(s.faucet.Process)
		s.stop(s.dovesnap)
		s.docker("rm", "-f", "one", "two")
		s.run("sh", "-c", uninstallOVS)
		s.run(host.Program, "cleanup")
		s.nothingLeftSince(s.pristine, append(s.allowed, "docker0: mtu")...)
	})
}

// After a reboot nothing runs any more: then only the database is left, in which others
// may have bridges.
func TestCleanupWithoutOpenVSwitch(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.dockerd()
		pristine := h.snapshot()
		daemon := h.dovesnap(quick...)
		h.docker("network", "create", "-d", "ovs", "mynet")
		h.stop(daemon)
		h.powerCycle()
		h.run("sh", "-c", uninstallOVS)
		h.dockerd()
		if out := h.run("sh", "-c", host.Program+" cleanup 2>&1"); !strings.Contains(out, "may be left in its database") {
			t.Errorf("cleanup said %q", out)
		}
		h.nothingLeftSince(pristine, "conf.db", "/system-id.conf", "docker0: mtu")
	})
}
