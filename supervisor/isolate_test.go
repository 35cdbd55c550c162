// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

const isolatedEnv = "DOVESNAP_TEST_ISOLATED"

// isolated runs the calling test once more, in network, mount and pid namespaces
// of its own with an empty /run and no Open vSwitch database, and is true only
// in there. Whatever that run leaves dies with its pid 1. The standard paths can
// so be used without meeting the host's.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(isolatedEnv) == t.Name() {
		private(t)
		return true
	}
	needTools(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, for namespaces and Open vSwitch")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), isolatedEnv+"="+t.Name())
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in its namespaces: %v\n%s", err, out)
	}
	t.Logf("in its namespaces:\n%s", out)
	return false
}

func private(t *testing.T) {
	t.Helper()
	mount := func(source, target, kind string, flags uintptr) {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatalf("cannot mount %s: %v", target, err)
		}
	}
	mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE)
	mount("proc", "/proc", "proc", 0)
	for _, dir := range []string{"/run", "/etc/openvswitch", "/var/lib/openvswitch"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		mount("tmpfs", dir, "tmpfs", 0)
	}
}

// needTools skips where Open vSwitch is not installed.
func needTools(t *testing.T) {
	t.Helper()
	cfg, err := Config{}.withDefaults()
	if err == nil {
		err = cfg.installed()
	}
	if err != nil {
		t.Skip(err)
	}
}
