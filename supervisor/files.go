// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dovesnap/whole"
)

// clean makes room for a start of name: directories, stray processes of ours
// that lost their pidfile, and the stale files of dead ones. A file whose owner
// lives is never removed, whoever that is.
func (c Config) clean(ctx context.Context, name string, log *slog.Logger) error {
	for _, dir := range []string{c.RunDir, c.DBDir, c.StateDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// Somebody emptied the run directory: the process lives, but nobody can
	// reach it any more, and it would hold the database's lock for ever.
	for _, pid := range c.marked(name) {
		log.Warn("stopping our own process that lost its pidfile", "pid", pid)
		if err := c.stopMarked(ctx, name, pid); err != nil {
			return err
		}
	}
	owner, err := lockOwner(c.pidFile(name))
	if err != nil {
		return err
	}
	if owner != 0 {
		return fmt.Errorf("%s is locked by pid %d", c.pidFile(name), owner)
	}
	if err := os.Remove(c.pidFile(name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return c.sweepSockets(name + ".*.ctl")
}

func (c Config) stopMarked(ctx context.Context, name string, pid int) error {
	p, err := c.watch(name, pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Release()
	if !slices.Contains(c.marked(name), pid) {
		return nil // ended before we held its pidfd
	}
	return stop(ctx, wallClock{}, p)
}

// sweepSockets removes the sockets that nobody listens on any more. Connecting
// is the only test that holds across pid namespaces.
func (c Config) sweepSockets(patterns ...string) error {
	var errs []error
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(c.RunDir, pattern))
		errs = append(errs, err)
		for _, path := range paths {
			conn, err := net.DialTimeout("unix", path, time.Second)
			if err == nil {
				conn.Close()
			} else if errors.Is(err, unix.ECONNREFUSED) {
				errs = append(errs, os.Remove(path))
			}
		}
	}
	return errors.Join(errs...)
}

// sweep removes what a process of ours left that was killed while it wrote a file.
// The directory of saved flows needs none: it is ours as a whole.
func (c Config) sweep() error {
	return errors.Join(c.sweepDatabase(), whole.Sweep(c.triesFile()))
}

// sweepDatabase does it beside the database. What is written there while an
// ovsdb-server gets ready is, if it fails, written again.
func (c Config) sweepDatabase() error {
	db, err := resolve(c.database())
	if err == nil {
		err = whole.SweepDir(filepath.Dir(db))
	}
	return errors.Join(whole.SweepDir(c.DBDir), err)
}

// flock takes an exclusive lock for the life of this process.
func flock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: another dovesnap supervises Open vSwitch; stop it first", path)
	}
	return func() { f.Close() }, nil
}
