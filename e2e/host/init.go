// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// initName is argv[0] of a host's process 1, which is this binary again.
const initName = "dovesnap-host-init"

// statusFD is where init reports: booted, or the reason why not.
const (
	statusFD = 3
	booted   = "booted"
)

// The Go runtime runs init functions on the main thread, the one whose
// namespaces /proc/PID/ns and a pidfd stand for; so the boot happens in one.
func init() {
	switch os.Args[0] {
	case initName:
		runInit()
	case outsideName:
		runOutside()
	}
}

func runInit() {
	status := os.NewFile(statusFD, "status")
	if len(os.Args) != 5 {
		fmt.Fprintln(status, "cannot boot: want arguments root, disk, control group, host name")
		os.Exit(2)
	}
	go func() {
		// The end of stdin, once nobody holds the other end, is the end of the host.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := boot(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(status, err)
		os.Exit(1)
	}
	fmt.Fprint(status, booted)
	_ = status.Close()
	reap()
}

func boot(lower, disk, cgroup, name string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := enterCgroup(cgroup); err != nil {
		return err
	}
	root, err := mountRoot(lower, disk)
	if err != nil {
		return err
	}
	if err := pivot(root); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("cannot set host name: %w", err)
	}
	if err := newBootID(); err != nil {
		return err
	}
	for path, text := range map[string]string{
		"/etc/hostname":    name + "\n",
		"/etc/hosts":       "127.0.0.1 localhost " + name + "\n::1 localhost\n",
		"/etc/resolv.conf": "nameserver " + OutsideAddress + "\n",
		// A new network namespace inherits the machine's IPv4 settings.
		"/proc/sys/net/ipv4/ip_forward": "0\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if out, err := exec.Command("/bin/ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot set loopback up: %w: %s", err, out)
	}
	return nil
}

// newBootID puts a fresh id where the kernel keeps the machine's, since daemons
// tell a reboot by it: random(4).
func newBootID() error {
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	if err != nil {
		return err
	}
	const path = "/run/boot_id"
	if err := os.WriteFile(path, id, 0o444); err != nil {
		return err
	}
	if err := unix.Mount(path, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot set boot id %s: %w", strings.TrimSpace(string(id)), err)
	}
	return nil
}

// reap is the one duty of a process 1: to wait for orphans.
func reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	for range children {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
	}
}
