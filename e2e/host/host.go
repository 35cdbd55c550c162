// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Host is one test machine. Its methods are safe for concurrent use except
// for Boot, PowerOff and Close.
type Host struct {
	name   string
	root   string // read-only root file system, on the machine
	cgroup string
	disk   *os.File // mount namespace with the host's tmpfs in it; keeps it alive
	init   *exec.Cmd
	pidfd  int      // of init
	alive  *os.File // init ends when this is closed
	// outside is the network namespace behind the uplink.
	outside place
	// logs is the directory on the machine for what daemons print.
	logs string
}

var hosts atomic.Int64 // made by this process, for names

// New makes a host that is powered off, with an empty disk over root, a
// directory that Rootfs returned. What daemons print goes to files in logs, a
// directory on the machine.
func New(root, logs string) (*Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot make host: needs root")
	}
	sweepCgroups()
	id := fmt.Sprintf("%d-%d", os.Getpid(), hosts.Add(1))
	h := &Host{name: "host" + id, root: root, cgroup: cgroupPrefix + id, logs: logs, pidfd: -1, outside: place{pidfd: -1}}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("cannot unshare mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("cannot make mounts private: %w", err)
		}
		if err := (mount{"tmpfs", diskPoint(root), "tmpfs", 0, "mode=755"}).do(); err != nil {
			return err
		}
		var err error
		h.disk, err = os.Open("/proc/thread-self/ns/mnt")
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// diskPoint is where every host mounts its tmpfs, each in its own namespace.
func diskPoint(root string) string { return filepath.Join(filepath.Dir(root), "disk") }

// Boot starts the host: a new kernel boot id, empty /run and /tmp, no links but
// loopback and the uplink, and whatever was on the disk.
func (h *Host) Boot() error { return h.boot(false) }

// BootDetached is Boot for a host that outlives this process: its init ends
// when it is killed (its process id is PID), and only then.
func (h *Host) BootDetached() error { return h.boot(true) }

func (h *Host) boot(detached bool) error {
	if h.init != nil || h.disk == nil {
		return errors.New("cannot boot host: it runs or is closed")
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	report, status, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	pidfd := -1
	init := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{initName, h.root, diskPoint(h.root), h.cgroup, h.name},
		Env:        Environment,
		Dir:        "/",
		Stdin:      stdin,
		ExtraFiles: []*os.File{status}, // statusFD
		SysProcAttr: &syscall.SysProcAttr{
			// The cgroup namespace comes later, from inside the new group.
			Cloneflags: allNamespaces &^ unix.CLONE_NEWCGROUP,
			PidFD:      &pidfd,
			Setsid:     true, // a ^C at the terminal is for this process alone
		},
	}
	if detached {
		// Init holds both ends of its stdin, which so never ends.
		init.ExtraFiles = append(init.ExtraFiles, alive)
	}
	err = onThread(func() error {
		if err := enter(int(h.disk.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
		return init.Start()
	})
	status.Close()
	if err != nil {
		alive.Close()
		return fmt.Errorf("cannot start init: %w", err)
	}
	h.init, h.pidfd, h.alive = init, pidfd, alive
	if said, err := io.ReadAll(report); err != nil || string(said) != booted {
		return errors.Join(fmt.Errorf("cannot boot host: %s", said), err, h.PowerOff())
	}
	if err := h.connectOutside(); err != nil {
		return errors.Join(err, h.PowerOff())
	}
	return nil
}

// PID returns init's process id on the machine, 0 when the host is off.
func (h *Host) PID() int {
	if h.init == nil {
		return 0
	}
	return h.init.Process.Pid
}

// PowerOff ends the host as a power cut does: every process at once, by
// SIGKILL. The disk stays for the next Boot. Without effect when it is off.
func (h *Host) PowerOff() error {
	if h.init == nil {
		return nil
	}
	_ = h.init.Process.Kill() // the kernel kills all others of its pid namespace first
	_ = h.init.Wait()         // always "signal: killed"
	err := errors.Join(h.alive.Close(), unix.Close(h.pidfd), unix.Close(h.outside.pidfd))
	h.init, h.alive, h.pidfd, h.outside = nil, nil, -1, place{pidfd: -1}
	return errors.Join(err, h.freeCgroup())
}

// freeCgroup removes the host's control group, which a process that was just
// killed may hold for a moment more.
func (h *Host) freeCgroup() error {
	const limit, pause = 10 * time.Second, 20 * time.Millisecond
	timeout := time.After(limit)
	for {
		err := removeCgroup(h.cgroup)
		if err == nil {
			return nil
		}
		select {
		case <-timeout:
			return err
		case <-time.After(pause):
		}
	}
}

// Close powers the host off and throws its disk away. Again is without effect.
func (h *Host) Close() error {
	err := h.PowerOff()
	if h.disk != nil {
		err = errors.Join(err, h.disk.Close())
		h.disk = nil
	}
	return err
}
