// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"
)

// TestDiskFull fills the file system of the database, in namespaces of its own: the error
// says so, and with room again the same call succeeds.
func TestDiskFull(t *testing.T) {
	const inside = "DOVESNAP_TEST_DISK"
	dir := os.Getenv(inside)
	if dir == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root: mounts a file system")
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
		out, err := cmd.CombinedOutput()
		t.Logf("in its namespaces:\n%s", out)
		must(t, err)
		if strings.Contains(string(out), "--- SKIP") {
			t.Skip("see above")
		}
		return
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"))
	t.Setenv("TMPDIR", dir)
	failed := ovsdb.OperationResult{Error: "I/O error", Details: dir + "/conf.db: write failed"}
	fill := dir + "/fill"
	says := func(want bool) {
		t.Helper()
		must(t, os.WriteFile(dir+"/conf.db", nil, 0o600))
		if got := newRefusal(failed).Error(); strings.Contains(got, "No space left on device") != want {
			t.Errorf("with a full disk %v: %s", want, got)
		}
	}
	filled := func() {
		t.Helper()
		if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("the file system is not full: %v", err)
		}
	}
	says(false)
	filled()
	says(true)
	must(t, os.Remove(fill))

	d := startOVS(t)
	s, n := d.connect(), network(1)
	filled()
	for i := 0; ; i++ { // the database's last block has room
		if err := exec.Command("ovs-vsctl", "--db="+d.endpoint(), "--no-wait", "set", "Open_vSwitch", ".",
			fmt.Sprintf("external_ids:fill=%d", i)).Run(); err != nil {
			break
		}
	}
	err := s.EnsureBridge(within(t, 20*time.Second), n, true)
	if err == nil || !strings.HasSuffix(err.Error(), "/conf.db: write failed (No space left on device)") {
		t.Errorf("with a full disk: %v", err)
	}
	must(t, os.Remove(fill))
	must(t, s.EnsureBridge(within(t, 20*time.Second), n, true))
}
