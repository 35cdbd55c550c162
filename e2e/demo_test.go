// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// demoCommand returns the demo's program, for a demo apart from one that the
// person at this machine may be looking at.
func demoCommand(t *testing.T) (name string, demo func(args ...string) *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, mounts and control groups")
	}
	path := filepath.Join(buildDir, "demo")
	if err := host.Build(t.Context(), "..", false, "build", "-o", path, "./hack/demo"); err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("dovesnap-demo-%d", os.Getpid())
	demo = func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), "DOVESNAP_DEMO="+name, "DOVESNAP_TEST_CACHE="+host.CacheDir())
		return cmd
	}
	t.Cleanup(func() {
		if out, err := demo("down").CombinedOutput(); err != nil {
			t.Errorf("demo down: %v: %s", err, out)
		}
	})
	return name, demo
}

// demoLeft returns what is left of a demo on this machine.
func demoLeft(t *testing.T, name string) (left []string) {
	t.Helper()
	if _, err := os.Stat("/var/lib/" + name); err == nil {
		left = append(left, "/var/lib/"+name)
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, name) {
			left = append(left, path)
		}
		return nil
	})
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), name) {
			left = append(left, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.Contains(line, name) {
			left = append(left, line)
		}
	}
	return left
}

func TestDemo(t *testing.T) {
	name, demo := demoCommand(t)
	program := must[string](t)(binary())
	out, err := demo("up", program).CombinedOutput()
	if err != nil {
		t.Fatalf("demo up: %v: %s", err, out)
	}
	for _, want := range []string{
		"$ docker network create mynet -d ovs", "172.12.0.8/24", "172.12.0.9/24", "0% packet loss",
		"\n" + host.HostAddress + "\n", "cookie=0x5adc15c0", "sudo make demo-down",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("demo up does not show %q: %s", want, out)
		}
	}
	if len(demoLeft(t, name)) == 0 {
		t.Error("no trace of a running demo is found: the check below proves nothing")
	}
	if out, err := demo("shell", "docker", "ps", "--format={{.Image}}").CombinedOutput(); err != nil || string(out) != "busybox\nbusybox\n" {
		t.Errorf("demo shell docker ps: %q, %v", out, err)
	}
	if out, err := demo("up", program).CombinedOutput(); err != nil || !strings.Contains(string(out), "runs already") {
		t.Errorf("second demo up: %s, %v", out, err)
	}
	for range 2 {
		if out, err := demo("down").CombinedOutput(); err != nil {
			t.Errorf("demo down: %s, %v", out, err)
		}
		if left := demoLeft(t, name); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	}
	if out, err := demo("shell", "true").CombinedOutput(); err == nil {
		t.Errorf("a shell in no demo: %s", out)
	}
}

// A demo that was killed on its way up is removed like a whole one.
func TestDemoHalfMade(t *testing.T) {
	name, demo := demoCommand(t)
	up := demo("up", must[string](t)(binary()))
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "starting Docker" {
	}
	if err := up.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = up.Wait()
	if out, err := demo("down").CombinedOutput(); err != nil || !strings.Contains(string(out), "ending every process") {
		t.Errorf("demo down: %s, %v", out, err)
	}
	if left := demoLeft(t, name); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
