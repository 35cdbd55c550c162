// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"dovesnap/vmtest/vm"
)

// running fails the test unless containers run and have the network's link.
func running(g *vm.Guest, names ...string) {
	for _, name := range names {
		g.Await("container "+name, fmt.Sprintf(`docker inspect -f '{{.State.Status}} {{.State.Error}}' %[1]s | tee /dev/stderr | grep -qx 'running '
			docker exec %[1]s ip -o -4 addr show eth0 | tee /dev/stderr | grep -q "inet $(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' %[1]s)/"
			docker exec %[1]s ip -o link show eth0 | tee /dev/stderr | grep -q 'LOWER_UP'`, name))
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
		others=0
		for unit in $(systemctl show --value -p After docker.service); do
			case $unit in dovesnap*) continue ;; esac
			time=$(at $unit ActiveEnterTimestampMonotonic)
			[ "${time:-0}" -lt $others ] || [ "${time:-0}" -gt $(at docker InactiveExitTimestampMonotonic) ] || others=$time
		done
		echo "dovesnap: started in $((ready - $(at dovesnap InactiveExitTimestampMonotonic))) us;" \
			"Docker waited for nothing else for $((ready > others ? ready - others : 0)) us," \
			"and was ready $(($(at docker ActiveEnterTimestampMonotonic) - ready)) us later"`))
}
