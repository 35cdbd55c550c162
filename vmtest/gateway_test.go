// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/e2e/host"
	"dovesnap/vmtest/vm"
)

// TestPublishedSCTP runs nat's own test of it, on a kernel that has SCTP.
func TestPublishedSCTP(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		program := filepath.Join(t.TempDir(), "nat.test")
		if err := host.Build(t.Context(), "..", false, "test", "-c", "-o", program, "./nat"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
		g := vm.Installed(t, suite)
		g.Put(program, "/root/nat.test")
		out := g.Sh("modprobe sctp && cd /root && ./nat.test -test.v -test.run '^TestPublishedSCTP$'")
		if !strings.Contains(out, "--- PASS: TestPublishedSCTP ") {
			t.Error(out)
		}
	})
}

// TestMigratedUplink moves a host's only way to another into a bridge on the kernel's
// datapath, and back: its connection is lost for a second (50 pings) at most.
func TestMigratedUplink(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		a, b := vm.Pair(t, suite, true)
		b.Sh("ip addr add 192.0.2.2/24 dev eth1; ip addr add 198.51.100.1/32 dev lo")
		a.Sh("ip addr add 192.0.2.1/24 dev eth1; ip route add 198.51.100.0/24 via 192.0.2.2")
		before := a.State()
		ping := a.Ping("", "198.51.100.1")
		moved := func(what, script string) {
			t.Helper()
			ping.Continue(afterwards)
			if got := ping.Stop(); len(got.Lost) > 50 {
				t.Errorf("%s: %s", what, got)
			} else {
				t.Logf("%s: %d of %d pings lost", what, len(got.Lost), got.Sent)
			}
			if script != "" {
				a.Sh(script)
			}
			ping = a.Ping("", "198.51.100.1")
		}
		moved("before", "")
		create(a, "docker network create lan -d ovs -o ovs.bridge.mode=flat --subnet 192.0.2.0/24 --gateway 192.0.2.2 --ip-range 192.0.2.128/25"+
			" -o ovs.bridge.add_ports=eth1 -o ovs.bridge.add_ports_force=migrate")
		onKernel(a)
		moved("into the bridge", "test -z \"$(ip -4 -o addr show dev eth1)\"")
		run(a, "lan", "c1")
		a.Await("a ping from a container to the other host", "docker exec c1 ping -c 1 -W 1 192.0.2.2")
		a.Sh("systemctl restart dovesnap")
		healthy(a)
		moved("dovesnap restarted", "")
		a.Sh("docker rm -f c1 && docker network rm lan")
		moved("back", "ip -4 -o addr show dev eth1 | grep 192.0.2.1/24 && ip route show 198.51.100.0/24 | grep eth1")
		ping.NoneLost()
		a.Same(before)
	})
}
