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
	Options
	disk    *os.File      // mount namespace with the host's tmpfs in it; keeps it alive
	pid     int           // of init, on the machine; 0: off
	pidfd   int           // of init
	reaped  chan struct{} // closed when init has ended and is our child; else nil
	alive   *os.File      // init ends when this is closed
	outside place         // network namespace behind the uplink
}

// Options are what a host is made of.
type Options struct {
	Root string // read-only root file system: a directory that Rootfs returned
	Logs string // directory on the machine for what daemons print
	Name string // host name; "": one of its own
}

func (o Options) cgroup() string { return cgroupPrefix + o.Name }

var hosts atomic.Int64 // made by this process, for names

// New makes a host that is powered off, with an empty disk over its root.
func New(options Options) (*Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot make host: needs root")
	}
	sweepCgroups()
	if options.Name == "" {
		options.Name = fmt.Sprintf("%d-%d", os.Getpid(), hosts.Add(1))
	}
	root := options.Root
	h := &Host{Options: options, pidfd: -1, outside: place{pidfd: -1}}
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
	if h.pid != 0 || h.disk == nil {
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
		Args:       []string{initName, h.Root, diskPoint(h.Root), h.cgroup(), h.Name},
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
	h.reaped = make(chan struct{})
	go func() {
		_ = init.Wait() // always "signal: killed"
		close(h.reaped)
	}()
	h.pid, h.pidfd, h.alive = init.Process.Pid, pidfd, alive
	if said, err := io.ReadAll(report); err != nil || string(said) != booted {
		return errors.Join(fmt.Errorf("cannot boot host: %s", said), err, h.PowerOff())
	}
	if err := errors.Join(h.connectOutside(), h.share(h.faucetDir(), FaucetDir)); err != nil {
		return errors.Join(err, h.PowerOff())
	}
	return nil
}

// PID returns init's process id on the machine, 0 when the host is off.
func (h *Host) PID() int { return h.pid }

// PowerOff ends the host as a power cut does: every process at once, by
// SIGKILL. The disk stays for the next Boot. Without effect when it is off.
func (h *Host) PowerOff() error {
	if h.pid == 0 {
		return nil
	}
	const limit = 20 * time.Second
	// The kernel kills all others of the pid namespace before init has ended:
	// pid_namespaces(7).
	err := unix.PidfdSendSignal(h.pidfd, unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		err = nil
	}
	ended := awaitEnd(h.pidfd, limit)
	if ended == nil && h.reaped != nil {
		<-h.reaped
	}
	err = errors.Join(err, ended, unix.Close(h.pidfd))
	if h.outside.pidfd >= 0 {
		err = errors.Join(err, unix.Close(h.outside.pidfd))
	}
	if h.alive != nil {
		err = errors.Join(err, h.alive.Close())
	}
	h.pid, h.pidfd, h.alive, h.outside = 0, -1, nil, place{pidfd: -1}
	return errors.Join(err, h.freeCgroup())
}

// awaitEnd waits until the process of a pidfd has ended.
func awaitEnd(pidfd int, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("cannot wait for the end of a host: %w", err)
		case n == 0:
			return fmt.Errorf("cannot wait for the end of a host: it has not ended after %s", limit)
		default:
			return nil
		}
	}
}

// freeCgroup removes the host's control group, which a process that was just
// killed may hold for a moment more.
func (h *Host) freeCgroup() error {
	const limit, pause = 10 * time.Second, 20 * time.Millisecond
	timeout := time.After(limit)
	for {
		err := removeCgroup(h.cgroup())
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
