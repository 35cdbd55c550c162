// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// TestRebootWithoutFaucet: containers come up on a switch whose controller is
// away, pass nothing, and all is well when it comes.
func TestRebootWithoutFaucet(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		g := working(t, suite)
		before := numbers(g)
		g.Reboot() // nobody has enabled Faucet
		running(g, "c1", "c2")
		g.Sh("! docker exec c1 ping -c 3 -W 1 " + address(g, "c2"))
		sameNumbers(t, g, before)
		g.Sh("systemctl start faucet")
		talk(g)
		healthy(g)
	})
}

// TestRebootBroken: whatever keeps dovesnap from starting keeps nobody else, and
// when it is mended, its networks need no other reboot.
func TestRebootBroken(t *testing.T) {
	const config, dropIn = "/etc/dovesnap/dovesnap.yaml", "/etc/systemd/system/dovesnap.service.d/broken.conf"
	const restart = "\nsystemctl restart dovesnap"
	eachSuite(t, func(t *testing.T, suite string) {
		g := vm.Installed(t, suite)
		g.Sh("docker network create mynet -d ovs; docker run -td --restart=always --name other busybox")
		run(g, "mynet", "c1", "c2")
		talk(g)
		before := numbers(g)
		for _, test := range []struct{ name, breaks, says, mends string }{
			{"configuration", "cp -a " + config + " /root; echo 'ovs: {mode: mine}' >" + config,
				`ovs.mode: "mine" is not`,
				"mv /root/dovesnap.yaml " + config + restart},
			// Whatever the boot does in which order, it runs when dovesnap starts.
			{"foreign Open vSwitch", "cp -a " + config + " /root; echo 'ovs: {mode: managed}' >" + config +
				"\nsystemctl unmask $(cat /var/lib/dovesnap/masked-units) || true # names those that do not exist" +
				"\nsystemctl enable openvswitch-switch" +
				"\nmkdir -p $(dirname " + dropIn + "); printf '[Unit]\\nWants=openvswitch-switch.service\\n" +
				"After=openvswitch-switch.service ovsdb-server.service ovs-vswitchd.service\\n' >" + dropIn,
				"was not started by dovesnap",
				"mv /root/dovesnap.yaml " + config + "; rm " + dropIn + "; systemctl daemon-reload" + restart},
			// What nobody restarts comes back too.
			{"program", "mkdir -p $(dirname " + dropIn + "); printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >" + dropIn,
				"status=1/FAILURE",
				"rm " + dropIn + "; systemctl daemon-reload"},
		} {
			t.Run(test.name, func(t *testing.T) {
				g := g.In(t)
				g.Sh(test.breaks)
				g.Reboot()
				t.Log(g.Sh("docker ps -a; journalctl --boot --no-pager -o short-monotonic -u 'dovesnap*' -u docker -u 'ov*'"))
				g.Sh("journalctl --boot --no-pager -o cat -u dovesnap | grep -F '" + test.says + "'")
				g.Sh("docker exec other true")
				g.Sh(`test "$(docker inspect -f '{{.State.Running}}' c1)" = false`)
				g.Sh(test.mends)
				g.Await("dovesnap", "systemctl is-active dovesnap.service dovesnap.socket")
				g.Await("the containers' start", "docker start c1 c2")
				running(g, "c1", "c2")
				talk(g)
				healthy(g)
				sameNumbers(t, g, before)
			})
		}
	})
}

// running waits until containers run, and have the network's link and address.
func running(g *vm.Guest, names ...string) {
	for _, name := range names {
		g.Await("container "+name, fmt.Sprintf(`set -e
			state=$(docker inspect -f '{{.State.Status}} {{.State.Error}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' %[1]s)
			link=$(docker exec %[1]s ip addr show eth0) || true
			echo "$state; $link"
			set -- $state
			test "$1" = running
			case $link in *LOWER_UP*"inet $2/"*) ;; *) false ;; esac`, name))
	}
}

// sameNumbers fails the test unless networks have their datapath ids, and
// containers the ports that they had before.
func sameNumbers(t *testing.T, g *vm.Guest, before string) {
	t.Helper()
	switch after := numbers(g); {
	case unnamed(after) != unnamed(before):
		t.Errorf("other datapath ids or OpenFlow ports; before:\n%s\nnow:\n%s", before, after)
	case after != before:
		t.Logf("OpenFlow ports changed hands; before:\n%s\nnow:\n%s", before, after)
	}
}

// bootDelay tells what dovesnap has added to the boot of Docker, which waits for it.
func bootDelay(t *testing.T, g *vm.Guest) {
	t.Helper()
	t.Log(g.Sh(`systemd-analyze --no-pager critical-chain docker.service
		systemd-analyze --no-pager blame | grep -E 'dovesnap|docker|containerd'
		at() { systemctl show --value -p $2 $1; }
		ready=$(at dovesnap ActiveEnterTimestampMonotonic)
		begun=$(at docker InactiveExitTimestampMonotonic)
		others=0
		for unit in $(at docker After); do
			time=$(at $unit ActiveEnterTimestampMonotonic)
			case $unit in dovesnap*) continue ;; esac
			[ "${time:-0}" -lt $others ] || [ "${time:-0}" -gt $begun ] || others=$time
		done
		echo "dovesnap started in $((ready - $(at dovesnap InactiveExitTimestampMonotonic))) us;" \
			"Docker waited for nothing else during $((ready > others ? ready - others : 0)) of them," \
			"and needed $(($(at docker ActiveEnterTimestampMonotonic) - begun)) us itself"`))
}
