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

// Listen returns a listener for each driver name: the socket that systemd
// passed (FileDescriptorName= is the driver's name), else a new one at
// DIR/NAME.sock, where Docker looks for it. The caller must hold the daemon's
// lock: a socket file that is there already is taken for a dead one's.
func Listen(dir string, names []string) ([]net.Listener, error) {
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("cannot use the sockets that systemd passed: %w", err)
	}
	var out []net.Listener
	for _, name := range names {
		if given := passed[name]; len(given) > 0 {
			out = append(out, given...)
			continue
		}
		l, err := listenUnix(filepath.Join(dir, name+".sock"))
		if err != nil {
			for _, l := range out {
				l.Close()
			}
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
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
