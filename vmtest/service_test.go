// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"strings"
	"testing"

	"dovesnap/vmtest/vm"
)

// TestBareBinary: without the package, "dovesnap service" does what it does.
func TestBareBinary(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Clone(t, suite)
		apt(g, "install openvswitch-switch")
		// What it leaves in /run is gone after a reboot.
		g.Sh("systemctl disable --now openvswitch-switch; systemctl stop ovs-vswitchd ovsdb-server; rmdir /run/openvswitch")
		used(g)
		pristine := g.State()
		put(t, g)
		g.Sh("dpkg-deb --fsys-tarfile " + debInGuest + ` | tar -xO ./usr/sbin/dovesnap >/usr/local/sbin/dovesnap
			chmod 755 /usr/local/sbin/dovesnap
			rm ` + debInGuest)
		t.Log(g.Sh("dovesnap service install; dovesnap service start; dovesnap service status"))
		mode(g, "managed")
		mainJob(g)
		healthy(g)
		before := numbers(g)
		g.Sh("systemctl enable faucet")

		g.Reboot()
		running(g, "c1", "c2")
		talk(g)
		healthy(g)
		sameNumbers(t, g, before)

		g.Sh("docker rm -f c1 c2; docker network rm mynet; systemctl disable --now faucet; rm /etc/faucet/faucet.yaml")
		t.Log(g.Sh("dovesnap service uninstall; dovesnap cleanup; rm /usr/local/sbin/dovesnap; rmdir /etc/faucet"))
		g.Same(pristine, faucetLogs)
	})
}

// TestServiceBesidePackage: a unit in /etc would hide the package's for ever.
func TestServiceBesidePackage(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Installed(t, suite)
		before := g.State()
		for _, verb := range []string{"install", "uninstall"} {
			if out, code := g.Try("dovesnap service " + verb); code != 1 || !strings.Contains(out, "belongs to a package") {
				t.Errorf("service %s ended with %d: %s", verb, code, out)
			}
		}
		g.Same(before)
		g.Sh("dovesnap service stop; ! dovesnap service status; dovesnap service start; dovesnap service restart; dovesnap service status")
		healthy(g)
	})
}
