// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A mount is one call of mount(2), its target created when missing.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	options                string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return fmt.Errorf("cannot create mount point: %w", err)
	}
	if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.options); err != nil {
		return fmt.Errorf("cannot mount %s on %q: %w", m.fstype, m.target, err)
	}
	return nil
}

// mountRoot lays the overlay and the virtual file systems of one boot under
// disk/root and returns that path. What lies on the disk (disk/upper,
// disk/docker) is from earlier boots or new.
func mountRoot(lower, disk string) (string, error) {
	root := filepath.Join(disk, "root")
	upper, work, docker := filepath.Join(disk, "upper"), filepath.Join(disk, "work"), filepath.Join(disk, "docker")
	for _, dir := range []string{upper, work, docker} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	at := func(path string) string { return filepath.Join(root, path) }
	for _, m := range []mount{
		{"overlay", root, "overlay", 0, "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work},
		// overlay2, Docker's storage driver, cannot have an overlay below it.
		{docker, at("var/lib/docker"), "", unix.MS_BIND, ""},
		{"proc", at("proc"), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", at("sys"), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", at("run"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{"tmpfs", at("tmp"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", at("dev"), "tmpfs", unix.MS_NOSUID, "mode=755"},
		{"tmpfs", at("dev/shm"), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"devpts", at("dev/pts"), "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"},
		{"mqueue", at("dev/mqueue"), "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	} {
		if err := m.do(); err != nil {
			return "", err
		}
	}
	if err := makeDevices(at("dev")); err != nil {
		return "", err
	}
	return root, mountCgroups(at("sys/fs/cgroup"))
}

// makeDevices fills dev with the nodes that containers and Open vSwitch's TAP
// devices need, and no other: no disk of the machine can be opened from a host.
func makeDevices(dev string) error {
	for name, number := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9),
		"tty": unix.Mkdev(5, 0), "net/tun": unix.Mkdev(10, 200),
	} {
		path := filepath.Join(dev, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(number)); err != nil {
			return fmt.Errorf("cannot make device %q: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes root the root of this mount namespace and lets go of the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// pivot_root(2), "pivot_root(".", ".")": the old root ends up below the new.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot detach old root: %w", err)
	}
	return os.Chdir("/")
}
