// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	unitPrefix    = "systemd:"
	pidfilePrefix = "pidfile:"
	reloadTimeout = 5 * time.Second
)

// Reloads are the ways of telling Faucet that its configuration has changed:
// "watch" (it sees by itself), "systemd:UNIT", "pidfile:PATH", and "auto", which
// is systemd:faucet.service where that is active, and watch elsewhere.
const (
	ReloadWatch = "watch"
	ReloadAuto  = "auto"
)

// reload tells Faucet to look at its files.
func reload(ctx context.Context, how string) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	if how == ReloadAuto {
		how = ReloadWatch
		if run(ctx, "systemctl", "is-active", "--quiet", "faucet.service") == nil {
			how = unitPrefix + "faucet.service"
		}
	}
	if unit, ok := strings.CutPrefix(how, unitPrefix); ok {
		return reloadUnit(ctx, unit)
	}
	if path, ok := strings.CutPrefix(how, pidfilePrefix); ok {
		return hangUp(path)
	}
	return nil // it looks every 3 to 5 s, also after a load that failed
}

// reloadUnit has systemd reload a unit, which for Faucet is a SIGHUP.
func reloadUnit(ctx context.Context, unit string) error {
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--value", "--", unit).Output()
	if pid, bad := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && bad == nil && pid > 0 && !catchesHangUp(pid) {
		return fmt.Errorf("cannot reload unit %q: it is only starting", unit)
	}
	if err := run(ctx, "systemctl", "reload", "--", unit); err != nil {
		return fmt.Errorf("cannot reload unit %q: %w", unit, err)
	}
	return nil
}

// catchesHangUp reports whether SIGHUP would not end a process: Faucet installs
// its handler after it has read its configuration (proc_pid_status(5), SigCgt).
func catchesHangUp(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "\nSigCgt:")
	mask, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	bits, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && bits&(1<<(unix.SIGHUP-1)) != 0
}

func run(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if text := oneLine(string(out)); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// hangUp sends SIGHUP to Faucet's process, and to no other that has its number by
// now: it would end most.
func hangUp(pidfile string) error {
	text, err := os.ReadFile(pidfile)
	if err != nil {
		return fmt.Errorf("cannot find Faucet's process: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("cannot find Faucet's process: %q has no process id", pidfile)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("cannot find Faucet's process %d of %q: %w", pid, pidfile, err)
	}
	defer unix.Close(fd)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !isFaucet(line) {
		return fmt.Errorf("cannot find Faucet's process: %d of %q is another program", pid, pidfile)
	}
	if !catchesHangUp(pid) {
		return fmt.Errorf("cannot signal Faucet's process %d: it is only starting", pid)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGHUP, nil, 0); err != nil {
		return fmt.Errorf("cannot signal Faucet's process %d: %w", pid, err)
	}
	return nil
}

// isFaucet knows Faucet by its command line: faucet(1) becomes osken-manager with
// the application "faucet.faucet". One that only mentions Faucet is an editor's, or a
// tail of its log.
func isFaucet(cmdline []byte) bool {
	for i, arg := range bytes.Split(cmdline, []byte{0}) {
		if string(arg) == "faucet.faucet" || i < 2 && filepath.Base(string(arg)) == "faucet" {
			return true
		}
	}
	return false
}
