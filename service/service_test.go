// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dovesnap/systemd"
)

// inside marks the process that runs a test in a mount namespace of its own,
// where /run and /etc/systemd/system are empty and /usr/lib/systemd/system is
// the test's. kardianos/service knows no other paths, and looks for systemd
// before main begins.
const inside = "TEST_INSIDE_NAMESPACE"

// isolate runs the calling test again in such a namespace and reports whether
// this is that run. Booted says whether systemd shall seem to run there.
func isolate(t *testing.T, booted bool) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for a mount namespace")
	}
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system"} {
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("needs a place to mount on: %v", err)
		}
	}
	script := `
		mount -t tmpfs tmpfs /run
		mount -t tmpfs tmpfs /etc/systemd/system
		mount -t tmpfs tmpfs /usr/lib/systemd/system
		[ $0 = no ] || mkdir -p /run/systemd/system
		exec "$@"`
	seem := "no"
	if booted {
		seem = "yes"
	}
	args := []string{"-m", "--propagation", "private", "sh", "-ec", script, seem, os.Args[0], "-test.run", "^" + t.Name() + "$", "-test.v"}
	cmd := exec.CommandContext(t.Context(), "unshare", args...)
	cmd.Env = append(os.Environ(), inside+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
	return false
}

// fakeSystemctl puts a program of that name first in PATH that writes down what it
// is asked and then does as the script says; it returns what was asked.
func fakeSystemctl(t *testing.T, script string) (asked func() string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\necho \"$@\" >>" + dir + "/asked\n" + script + "\n"
	if err := os.WriteFile(dir+"/systemctl", []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		out, err := os.ReadFile(dir + "/asked")
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		_ = os.Remove(dir + "/asked")
		return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; ")
	}
}

func TestInstallAndUninstall(t *testing.T) {
	if !isolate(t, true) {
		return
	}
	asked := fakeSystemctl(t, "")
	var out bytes.Buffer
	for _, turn := range []string{"first", "again"} {
		out.Reset()
		if err := Install(&out); err != nil {
			t.Fatalf("%s: %v", turn, err)
		}
		if got, want := asked(), "enable dovesnap.service; daemon-reload"; got != want {
			t.Errorf("%s: systemctl %s, want %s", turn, got, want)
		}
		if want := "installed /etc/systemd/system/dovesnap.service; start it: dovesnap service start\n"; out.String() != want {
			t.Errorf("%s: says %q", turn, out.String())
		}
		compareUnits(t)
	}
	for _, do := range []func() error{Start, Stop, Restart} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	if got, want := asked(), "start dovesnap.service; stop dovesnap.socket dovesnap.service dovesnap-retry.timer; restart dovesnap.service"; got != want {
		t.Errorf("systemctl %s, want %s", got, want)
	}
	for _, tt := range []struct{ asked, says string }{
		{"stop dovesnap.socket dovesnap.service dovesnap-retry.timer; disable dovesnap.service; daemon-reload; daemon-reload", "uninstalled"},
		{"", "the service is not installed"},
	} {
		out.Reset()
		if err := Uninstall(&out); err != nil {
			t.Fatal(err)
		}
		if got := asked(); got != tt.asked || !strings.HasPrefix(out.String(), tt.says) {
			t.Errorf("systemctl %s, says %q; want %+v", got, out.String(), tt)
		}
	}
	if left, err := os.ReadDir("/etc/systemd/system"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestUninstallBesidePackage: the package's unit, which ours hid, takes over, and is
// enabled: "disable" has removed what enabled it.
func TestUninstallBesidePackage(t *testing.T) {
	if !isolate(t, true) {
		return
	}
	asked := fakeSystemctl(t, "")
	var out bytes.Buffer
	if err := Install(&out); err != nil {
		t.Fatal(err)
	}
	const ofPackage = "/usr/lib/systemd/system/dovesnap.service"
	write(t, ofPackage, "[Service]\n")
	asked()
	out.Reset()
	if err := Uninstall(&out); err != nil {
		t.Fatal(err)
	}
	if want := "uninstalled; " + ofPackage + " runs in its place\n"; out.String() != want {
		t.Errorf("says %q, want %q", out.String(), want)
	}
	if got := asked(); !strings.HasSuffix(got, "daemon-reload; enable --now dovesnap.socket dovesnap.service") {
		t.Errorf("systemctl %s", got)
	}
}

// compareUnits compares what is installed with the units of the folder systemd:
// the mark, and this program's path, are the only difference.
func compareUnits(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range append([]string{systemd.Main}, systemd.Others...) {
		got, err := os.ReadFile(unitDir + "/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("../systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(got), "="+self+" ", "=/usr/sbin/dovesnap ")
		text = strings.ReplaceAll(text, "=-"+self+" ", "=-/usr/sbin/dovesnap ")
		text = strings.TrimPrefix(text, mark+"\n# Your changes belong into a drop-in: systemctl edit "+unit+"\n")
		if diff := cmp.Diff(string(want), text); diff != "" {
			t.Errorf("%s: %s", unit, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	if !isolate(t, true) {
		return
	}
	asked := fakeSystemctl(t, "")
	var out bytes.Buffer
	check := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
		if got := asked(); got != "" {
			t.Errorf("%s: systemctl %s", what, got)
		}
	}
	check("start of nothing", Start(), "cannot start service: it is not installed: dovesnap service install")

	const ofPackage = "/usr/lib/systemd/system/dovesnap.service"
	write(t, ofPackage, "[Service]\n")
	check("beside a package", Install(&out), "cannot install service: "+ofPackage+" belongs to a package; use it: dovesnap service start")
	check("a package's", Uninstall(&out), "cannot uninstall service: "+ofPackage+" belongs to a package; remove the package")
	if err := Start(); err != nil {
		t.Errorf("a packaged service does not start: %v", err)
	}
	asked()
	if err := os.Remove(ofPackage); err != nil {
		t.Fatal(err)
	}

	write(t, installed, "[Service]\nExecStart=/bin/true\n")
	check("somebody's unit", Install(&out), "was not written by dovesnap; remove it first")
	check("somebody's unit", Uninstall(&out), "was not written by dovesnap")
	if text, err := os.ReadFile(installed); err != nil || string(text) != "[Service]\nExecStart=/bin/true\n" {
		t.Errorf("somebody's unit was touched: %q, %v", text, err)
	}
	if out.Len() > 0 {
		t.Errorf("says %q", out.String())
	}
}

func TestSystemctlFails(t *testing.T) {
	if !isolate(t, true) {
		return
	}
	fakeSystemctl(t, "echo failed >&2; exit 1")
	if err := Install(new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "cannot install service: systemctl enable: exit status 1") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(installed); !os.IsNotExist(err) {
		t.Errorf("half a unit is left: %v", err)
	}
	write(t, installed, mark+"\n")
	if err := Start(); err == nil || !strings.Contains(err.Error(), "systemctl start: exit status 1; see: journalctl -u dovesnap") {
		t.Errorf("got %v", err)
	}
}

func TestRunning(t *testing.T) {
	if !isolate(t, true) {
		return
	}
	for _, tt := range []struct {
		script  string
		running bool
		want    string
	}{
		{"echo active", true, "running"},
		{"echo activating; exit 3", true, "running"},
		{`[ $1 = is-active ] && { echo inactive; exit 3; }; echo dovesnap.service enabled`, false, "stopped"},
		{`[ $1 = is-active ] && { echo inactive; exit 3; }; echo 0 unit files listed`, false, "not installed"},
		{"echo failed; exit 3", false, "service in failed state"},
	} {
		fakeSystemctl(t, tt.script)
		running, state, err := Running()
		if err != nil || running != tt.running || state != tt.want {
			t.Errorf("%s: got %t, %q, %v", tt.script, running, state, err)
		}
	}
}

func TestNoSystemd(t *testing.T) {
	if !isolate(t, false) {
		return
	}
	_, _, running := Running()
	for what, err := range map[string]error{
		"install service": Install(new(bytes.Buffer)), "start service": Start(), "stop service": Stop(),
		"restart service": Restart(), "read service status": running,
	} {
		want := "cannot " + what + ": no systemd runs here; without one, start dovesnap with: dovesnap run"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	var out bytes.Buffer
	if err := Uninstall(&out); err != nil || out.String() != "the service is not installed\n" {
		t.Errorf("uninstall of nothing: %q, %v", out.String(), err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
