// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Files runs do with the host's files in place of the machine's; what do opens
// stays open.
func (h *Host) Files(do func() error) error {
	if h.pid == 0 {
		return errors.New("host is off")
	}
	return onThread(func() error {
		if err := enter(h.pidfd, unix.CLONE_NEWNS); err != nil {
			return err
		}
		return do()
	})
}

// ReadFile is os.ReadFile in the host.
func (h *Host) ReadFile(path string) (text string, err error) {
	err = h.Files(func() error {
		read, err := os.ReadFile(path)
		text = string(read)
		return err
	})
	return text, err
}

// WriteFile is os.WriteFile in the host, with the directories it needs.
func (h *Host) WriteFile(path, text string, mode fs.FileMode) error {
	return h.Files(func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), mode)
	})
}

// Install copies the machine's file source to the host's target, executable.
func (h *Host) Install(source, target string) error {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	// A process forked meanwhile would hold the file open for writing until it
	// execs, and the program could not be started ("text file busy").
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return h.Files(func() error {
		// A new file beside it: a running program cannot be written to.
		partial := target + ".partial"
		to, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return errors.Join(fmt.Errorf("cannot install %q: %w", target, err), to.Close())
		}
		if err := to.Close(); err != nil {
			return err
		}
		return os.Rename(partial, target)
	})
}

// Listening reports, as nil, that something accepts connections at the host's
// unix socket path.
func (h *Host) Listening(path string) error {
	return h.Files(func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			return fmt.Errorf("cannot connect to %q: %w", path, err)
		}
		return nil
	})
}
