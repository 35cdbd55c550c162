// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"testing"

	"dovesnap/vmtest/vm"
)

func TestBoot(t *testing.T) {
	g := vm.Boot(t, "bookworm")
	t.Log(g.Sh("uname -a; docker version; docker images; ls /srv/debs; systemd-analyze"))
}

func TestClone(t *testing.T) {
	g := vm.Clone(t, "bookworm")
	t.Log(g.Sh("uptime; date; docker run --rm busybox echo hello"))
}
