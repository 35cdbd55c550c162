// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// abandonedHost, as argument of this test binary, makes it boot a host, print
// init's process id and wait to be killed.
const abandonedHost = "abandoned-host"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == abandonedHost {
		h, err := New(Options{Root: os.Args[2], Logs: os.TempDir()})
		if err == nil {
			err = h.Boot()
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(h.PID())
		select {}
	}
	os.Exit(m.Run())
}

func newHost(t *testing.T) *Host {
	t.Helper()
	h, err := New(Options{Root: rootfs(t), Logs: t.TempDir()})
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
	return h
}

func rootfs(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces, mounts and control groups")
	}
	root, err := Rootfs(t.Context(), CacheDir(), Suites[0], os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestHostEndsWithItsMaker(t *testing.T) {
	maker := exec.Command("/proc/self/exe", abandonedHost, rootfs(t))
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("host does not boot: %s", line)
	}
	init, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(init)
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = maker.Wait()

	ended := []unix.PollFd{{Fd: int32(init), Events: unix.POLLIN}}
	if n, err := unix.Poll(ended, 20_000); n != 1 {
		t.Fatalf("init still runs: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = Await(ctx, "control groups to be swept", func() error {
		sweepCgroups()
		return cgroupsOf(maker.Process.Pid)
	})
	if err != nil {
		t.Error(err)
	}
}

// cgroupsOf returns an error when process pid has made control groups that exist.
func cgroupsOf(pid int) error {
	prefix := fmt.Sprintf("%s%d-", cgroupPrefix, pid)
	left, err := findCgroups(func(name string) bool { return strings.HasPrefix(name, prefix) })
	if len(left) != 0 {
		err = errors.Join(err, fmt.Errorf("left: %v", left))
	}
	return err
}

// A group is found and removed by a process that is in another one itself.
func TestRemoveCgroupsFromElsewhere(t *testing.T) {
	rootfs(t) // needs root
	all, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("named-%d", os.Getpid())
	for _, h := range all {
		parent := filepath.Join(h.own, fmt.Sprintf("%s%d-parent", cgroupPrefix, os.Getpid()))
		for _, dir := range []string{parent, filepath.Join(parent, cgroupPrefix+name), filepath.Join(parent, cgroupPrefix+name, "below")} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if err := unix.Rmdir(parent); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		if err := RemoveCgroups(name); err != nil {
			t.Error(err)
		}
	}
	if left, err := findCgroups(func(found string) bool { return found == cgroupPrefix+name }); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	h := newHost(t)
	// A session of its own, ignoring signals, orphaned to init.
	if _, err := h.Run(t.Context(), "sh", "-c", "trap '' TERM HUP INT; setsid sleep 1000 </dev/null >/dev/null 2>&1 &"); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start("sleep", "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", h.PID()))
	if err != nil {
		t.Fatal(err)
	}
	pids := append(strings.Fields(string(children)), strconv.Itoa(p.PID()), strconv.Itoa(h.PID()))
	if len(pids) != 3 {
		t.Fatalf("children of init are %q, want one orphan", children)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Wait(t.Context()); err == nil {
		t.Error("daemon ended by itself")
	}
	for _, pid := range pids {
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("process %s still runs: %v", pid, err)
		}
	}
	if err := cgroupsOf(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := h.Run(t.Context(), "true"); err == nil {
		t.Error("a host that is off runs commands")
	}
	if err := h.Boot(); err == nil {
		t.Error("a host without a disk boots")
	}
}

// Nothing of a host is seen on the machine, and the cached root stays as it is.
func TestHostIsApart(t *testing.T) {
	h := newHost(t)
	mounts := func() string {
		text, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := mounts()
	for _, command := range []string{
		"echo mark >/etc/mark", "mount -t tmpfs none /mnt", "ip link add mark type bridge", "mkdir /sys/fs/cgroup/*/mark || mkdir /sys/fs/cgroup/mark",
	} {
		if _, err := h.Run(t.Context(), "sh", "-c", command); err != nil {
			t.Error(err)
		}
	}
	if after := mounts(); after != before {
		t.Errorf("mounts differ: %s\n%s", before, after)
	}
	for _, path := range []string{"/etc/mark", filepath.Join(h.Root, "etc/mark"), "/sys/class/net/mark"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%q is on the machine", path)
		}
	}
	if text, err := h.ReadFile("/etc/mark"); err != nil || text != "mark\n" {
		t.Errorf("file in the host is %q, %v", text, err)
	}
}

// What reads /proc/self reads of the first thread, whatever thread it runs on.
func TestFirstThreadStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a mount namespace")
	}
	before, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := onThread(func() error { return unix.Unshare(unix.CLONE_NEWNS) }); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if after, err := os.Readlink("/proc/self/ns/mnt"); err != nil || after != before {
		t.Errorf("the first thread's mounts are %s, %v; want %s", after, err, before)
	}
}

func TestRunTellsWhatFailed(t *testing.T) {
	h := newHost(t)
	if _, err := h.Run(t.Context(), "sh", "-c", "echo reason >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3: reason") {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Run(ctx, "sh", "-c", "sleep 1000; true"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	out, err := h.Run(t.Context(), "ps", "-eo", "args=")
	if err != nil || strings.Contains(out, "sleep") {
		t.Errorf("after the deadline runs %q, %v", out, err)
	}
}

func TestOutsideAnswers(t *testing.T) {
	h := newHost(t)
	for want, command := range map[string]string{
		HostAddress:    "busybox nc " + OutsideAddress + " 80",
		HostAddress6:   "busybox nc " + OutsideAddress6 + " 80",
		OutsideAddress: "busybox nslookup -type=a " + OutsideName,
	} {
		out, err := h.Run(t.Context(), "sh", "-c", command)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v; want %s", command, out, err, want)
		}
	}
	if out, err := h.Run(t.Context(), "busybox", "nslookup", "-type=a", "nosuch.example"); err == nil {
		t.Errorf("an unknown name is known: %s", out)
	}
	if out, err := h.RunOutside(t.Context(), "ping", "-c1", "-W5", HostAddress); err != nil {
		t.Errorf("outside cannot ping host: %s, %v", out, err)
	}
}
