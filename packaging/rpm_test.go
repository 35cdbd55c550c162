// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// TestRPM installs, upgrades and erases the package with the real rpm, below a
// root of busybox's, with a systemctl that only remembers. The commands of
// testdata/rpm are run in that root, and:
//
//	rpm ARGUMENT…   rpm on that root
//	files           what differs from the files when the test began
func TestRPM(t *testing.T) {
	need(t, "rpm")
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes the root directory")
	}
	found, err := filepath.Glob("testdata/rpm/*")
	if err != nil || len(found) == 0 {
		t.Fatal("no transcripts: ", err)
	}
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			r := newRPMRoot(t)
			transcript(t, "rpm/"+filepath.Base(path), r.run)
		})
	}
}

type rpmRoot struct {
	t             *testing.T
	dir, before   string
	first, second string
}

func newRPMRoot(t *testing.T) *rpmRoot {
	t.Helper()
	r := &rpmRoot{t: t, dir: t.TempDir(), first: built(t, first, ".x86_64.rpm"), second: built(t, second, ".x86_64.rpm")}
	debian, err := host.Rootfs(t.Context(), host.CacheDir(), "bookworm", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		// What package filesystem has, and others that every machine has.
		`mkdir -p bin dev usr/bin usr/sbin usr/libexec usr/lib/systemd/system-preset usr/lib/systemd/system usr/lib/systemd/network \
			usr/lib/NetworkManager/conf.d usr/share/bash-completion/completions usr/share/doc usr/share/licenses usr/share/man/man5 \
			usr/share/man/man8 usr/share/zsh/site-functions usr/share/fish/vendor_completions.d run/systemd/system \
			etc/systemd/system/multi-user.target.wants etc/systemd/system/sockets.target.wants fake tmp var/lib var/tmp`,
		// The same places as everywhere, and null for the scripts.
		`cp "$0/bin/busybox" bin/; for a in $(bin/busybox --list); do [ $a = busybox ] || ln -s busybox bin/$a; done`,
		`mknod -m 666 dev/null c 1 3`,
		`touch usr/lib/systemd/system/openvswitch.service`,
	} {
		cmd := exec.Command("sh", "-ec", script, debian)
		cmd.Dir = r.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", script, err, out)
		}
	}
	for name, from := range map[string]string{"systemctl": "testdata/systemctl", "ovs-vsctl": "testdata/ovs-vsctl"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.dir, "usr/bin", name), text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("rpm", "--root", r.dir, "--initdb").CombinedOutput(); err != nil {
		t.Fatalf("rpm --initdb: %v: %s", err, out)
	}
	r.before = r.files()
	return r
}

func (r *rpmRoot) files() string {
	cmd := exec.Command("sh", "-c", listFiles)
	cmd.Dir = r.dir
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(out)
}

func (r *rpmRoot) run(ctx context.Context, command string) string {
	if command == "files" {
		return changes(r.before, r.files())
	}
	cmd := exec.CommandContext(ctx, "chroot", r.dir, "/bin/sh", "-c", "exec 2>&1\n"+command)
	if args, ok := strings.CutPrefix(command, "rpm "); ok {
		args = strings.NewReplacer("1.rpm", r.first, "2.rpm", r.second).Replace(args)
		// The requirements are not there.
		cmd = exec.CommandContext(ctx, "rpm", append([]string{"--root", r.dir, "--nodeps"}, strings.Fields(args)...)...)
	}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	said, err := cmd.CombinedOutput()
	text := string(said)
	if err != nil {
		text += "\n" + err.Error()
	}
	// Debian's rpm says that it is not meant for Debian.
	text = regexp.MustCompile(`(?m)^rpm: .*\n`).ReplaceAllString(text, "")
	log := filepath.Join(r.dir, "fake/log")
	logged, err := os.ReadFile(log)
	if err == nil {
		err = os.Remove(log)
	}
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return text + "\n" + string(logged)
}
