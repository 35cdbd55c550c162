// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Socket is a listener on which Docker finds a driver.
type Socket struct {
	net.Listener
	path string
}

// passed are the sockets that systemd opened for us (sd_listen_fds(3)), by their
// path. A process gets them once.
var passed = sync.OnceValues(func() (map[string]*os.File, error) {
	files := map[string]*os.File{}
	for _, f := range activation.Files(true) {
		addr, err := unix.Getsockname(int(f.Fd()))
		at, ok := addr.(*unix.SockaddrUnix)
		if err != nil || !ok {
			return nil, fmt.Errorf("cannot use %s, which systemd passed: it is no unix socket", f.Name())
		}
		files[at.Name] = f
	}
	return files, nil
})

// Listen returns a socket for each driver name, at DIR/NAME.sock, where Docker
// looks for it: the one that systemd passed, or a new one. What systemd passed
// besides is served too: a call to it would wait for ever. The caller must hold
// the daemon's lock: a socket file that is there already is taken for a dead
// one's.
func Listen(dir string, names []string) (sockets []Socket, err error) {
	defer func() {
		if err != nil {
			closeAll(sockets)
			sockets = nil
		}
	}()
	sockets, err = listenPassed()
	for _, name := range names {
		path := filepath.Join(dir, name+".sock")
		if err != nil || slices.ContainsFunc(sockets, func(s Socket) bool { return s.path == path }) {
			continue
		}
		var l net.Listener
		if l, err = listenUnix(path); err == nil {
			sockets = append(sockets, Socket{l, path})
		}
	}
	return sockets, err
}

// listenPassed may be called again after its sockets were closed: systemd's own
// stay open.
func listenPassed() (sockets []Socket, err error) {
	files, err := passed()
	for path, f := range files {
		l, lerr := net.FileListener(f)
		if lerr != nil {
			err = fmt.Errorf("cannot listen on %q, which systemd passed: %w", path, lerr)
			break
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		sockets = append(sockets, Socket{l, path})
	}
	return sockets, err
}

func closeAll(sockets []Socket) {
	for _, s := range sockets {
		s.Close()
	}
}

// gone reports whether the socket's file was removed, so that Docker cannot
// find it any more.
func (s Socket) gone() bool {
	_, err := os.Lstat(s.path)
	return errors.Is(err, os.ErrNotExist)
}

// listenUnix makes a socket that only root can use: dockerd is root, and
// whoever reaches the driver goes around Docker's authorisation.
func listenUnix(path string) (net.Listener, error) {
	// As dockerd makes it: what else it has in there is nobody's business.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
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
