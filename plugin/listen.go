// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// Socket is a listener on which Docker finds a driver.
type Socket struct {
	net.Listener
	path string // "" when systemd passed it: then the file is systemd's
}

// Listen returns a socket for each driver name: the one that systemd passed
// (FileDescriptorName= is the driver's name), else a new one at DIR/NAME.sock,
// where Docker looks for it. The caller must hold the daemon's lock: a socket
// file that is there already is taken for a dead one's.
func Listen(dir string, names []string) ([]Socket, error) {
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("cannot use the sockets that systemd passed: %w", err)
	}
	var out []Socket
	for _, name := range names {
		if given := passed[name]; len(given) > 0 {
			for _, l := range given {
				out = append(out, Socket{Listener: l})
			}
			continue
		}
		path := filepath.Join(dir, name+".sock")
		l, err := listenUnix(path)
		if err != nil {
			for _, s := range out {
				s.Close()
			}
			return nil, err
		}
		out = append(out, Socket{Listener: l, path: path})
	}
	return out, nil
}

// gone reports whether the socket's file was removed, so that Docker cannot
// find it any more.
func (s Socket) gone() bool {
	if s.path == "" {
		return false
	}
	_, err := os.Lstat(s.path)
	return errors.Is(err, os.ErrNotExist)
}

// listenUnix makes a socket that only root can use: dockerd is root, and
// whoever reaches the driver goes around Docker's authorisation.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the plugin directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the stale socket %q: %w", path, err)
	}
	// The mode is set by umask, not afterwards, so that there is no moment at
	// which others could connect. Nothing else creates files this early.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	// By then the file may be that of the socket which took its place.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}

// RemoveSockets removes the socket files that Listen made. Where systemd made
// them it keeps them: its unit still listens, and they are not ours.
func RemoveSockets(dir string, names []string) error {
	var errs []error
	for _, name := range names {
		path := filepath.Join(dir, name+".sock")
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot remove socket %q: %w", path, err))
		}
	}
	return errors.Join(errs...)
}
