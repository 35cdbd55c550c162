// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// TestDeb installs, upgrades, removes and purges the package on test hosts: with
// the suite's real dpkg, shell, deb-systemd-helper, deb-systemd-invoke and
// ovs-vsctl, and a systemctl that only remembers.
//
// The commands of testdata/deb are the host's, and:
//
//	open-vswitch    the distribution's Open vSwitch starts, as after apt install
//	files           what differs from the files when the test began
func TestDeb(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, mounts and control groups")
	}
	found, err := filepath.Glob("testdata/deb/*")
	if err != nil || len(found) == 0 {
		t.Fatal("no transcripts: ", err)
	}
	for _, suite := range host.Suites {
		for _, path := range found {
			name := filepath.Base(path)
			if suite != "bookworm" && name != "life" {
				continue // once is enough for the rest
			}
			t.Run(suite+"/"+name, func(t *testing.T) {
				h := newDebHost(t, suite)
				transcript(t, "deb/"+name, h.run)
			})
		}
	}
}

type debHost struct {
	*host.Host
	t      *testing.T
	before string // files
}

func newDebHost(t *testing.T, suite string) *debHost {
	t.Helper()
	first, second := built(t, first, "_amd64.deb"), built(t, second, "_amd64.deb")
	root, err := host.Rootfs(t.Context(), host.CacheDir(), suite, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Options{Root: root, Logs: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := h.Boot(); err != nil {
		t.Fatal(err)
	}
	d := &debHost{h, t, ""}
	d.must(h.Run(t.Context(), "mkdir", "-p", "/run/systemd/system", "/fake/pid", "/srv"))
	for _, err := range []error{
		// The suites from trixie on have a real one.
		h.Install("testdata/systemctl", "/usr/local/bin/systemctl"),
		h.Install(first, "/srv/1.deb"),
		h.Install(second, "/srv/2.deb"),
		// On these hosts nothing starts by itself; here systemctl is a fake.
		h.WriteFile("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.must(h.Run(t.Context(), "systemctl", "enable", "openvswitch-switch.service", "ovs-record-hostname.service"))
	d.must(h.Run(t.Context(), "rm", "-f", "/fake/log"))
	d.before = d.must(h.Run(t.Context(), "sh", "-c", "cd / && "+listFiles))
	return d
}

func (d *debHost) must(out string, err error) string {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// chatter is what dpkg itself says, in any suite.
var chatter = regexp.MustCompile(`(?m)^(Selecting previously|\(Reading database|Preparing to unpack|Unpacking |Setting up |Removing |Purging |Processing triggers|dpkg: warning: while removing|Configuration file|Installing new version| ==> ).*\n`)

func (d *debHost) run(ctx context.Context, command string) string {
	d.t.Helper()
	switch command {
	case "files":
		return changes(d.before, d.must(d.Run(ctx, "sh", "-c", "cd / && "+listFiles)))
	case "open-vswitch":
		_, err := d.StartOpenVSwitch(ctx)
		// What the distribution's ovs-ctl writes too.
		_, err2 := d.Run(ctx, "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", "external-ids:system-id=x", "external-ids:rundir=/run/openvswitch")
		_, err3 := d.Run(ctx, "sh", "-c", "systemctl start openvswitch-switch.service ovs-record-hostname.service; rm /fake/log")
		if err := errors.Join(err, err2, err3); err != nil {
			d.t.Fatal(err)
		}
		return ""
	}
	// No terminal: dpkg keeps a changed configuration, as --force-confold says.
	said, err := d.Run(ctx, "sh", "-c", "exec 2>&1; export DEBIAN_FRONTEND=noninteractive\n"+command)
	log := d.must(d.Run(ctx, "sh", "-c", "cat /fake/log 2>/dev/null; rm -f /fake/log"))
	said = chatter.ReplaceAllString(strings.ReplaceAll(said, "\r", "\n"), "")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said += "\n" + exit.Error()
	} else if err != nil {
		d.t.Fatal(err)
	}
	return said + "\n" + log
}
