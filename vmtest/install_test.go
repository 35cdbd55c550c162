// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"

	"dovesnap/vmtest/vm"
)

const debInGuest = "/root/dovesnap.deb"

// install installs the package under test as the README says, and returns what
// its scripts said.
func install(t *testing.T, g *vm.Guest) (said string) {
	t.Helper()
	deb, err := vm.Package(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.Put(deb, debInGuest)
	var lines []string
	for line := range strings.Lines(g.Sh("apt-get -q -y install " + debInGuest)) {
		if strings.HasPrefix(line, "dovesnap: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// TestInstallUseReboot is what every host sees of dovesnap: from the package on a
// host that has never seen Open vSwitch to a reboot with containers.
func TestInstallUseReboot(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Boot(t, suite)
		t.Log(install(t, g))
		g.Sh("systemctl is-active dovesnap.service dovesnap.socket dovesnap-ovsdb.service dovesnap-vswitchd.service")
		mainJob(g)
		healthy(g)
		before := numbers(g)
		g.Sh("systemctl enable faucet")

		g.Reboot()
		bootDelay(t, g)
		running(g, "c1", "c2")
		talk(g)
		healthy(g)
		onKernel(g)
		sameNumbers(t, g, before)
	})
}
