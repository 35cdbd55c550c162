// SPDX-License-Identifier: Apache-2.0

// Package service makes dovesnap a service of systemd's and tells systemd how
// it is: install and control of the units, and sd_notify(3).
//
// Be aware:
//   - A packaged unit is the package manager's. A file in /etc/systemd/system
//     would shadow it for ever, so install refuses beside one.
//   - Stopping or uninstalling the service leaves Open vSwitch and all traffic
//     as they are (see the units).
//   - The socket is stopped with the service, and the timer that is armed after a
//     crash: a call of Docker's, or the timer, would start it again.
//   - kardianos/service starts systemctl without a deadline: systemctl ends when
//     systemd says so, and the user can interrupt it.
package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/kardianos/service"

	"dovesnap/systemd"
)

const (
	name = "dovesnap"
	// installed is where kardianos/service writes the unit.
	installed = unitDir + "/" + name + ".service"
)

// packaged is where a package's unit is, systemd.unit(5).
var packaged = []string{
	"/usr/lib/systemd/system/" + name + ".service",
	"/lib/systemd/system/" + name + ".service",
}

// Install writes and enables the unit, or replaces what an earlier Install
// wrote. It does not start the service.
func Install(out io.Writer) error {
	s, err := control()
	if err == nil {
		err = install(s)
	}
	if err != nil {
		return fmt.Errorf("cannot install service: %w", err)
	}
	fmt.Fprintf(out, "installed %s; start it: dovesnap service start\n", installed)
	return nil
}

func install(s service.Service) error {
	if path := find(packaged); path != "" {
		return fmt.Errorf("%s belongs to a package; use it: dovesnap service start", path)
	}
	if err := checkExecutable(); err != nil {
		return err
	}
	if err := checkOurs(installed); err != nil {
		return err
	}
	if err := os.Remove(installed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := writeOthers(); err != nil {
		return errors.Join(err, removeOthers())
	}
	if err := s.Install(); err != nil {
		_ = os.Remove(installed) // half a unit is worse than none
		return errors.Join(fmt.Errorf("systemctl enable: %w", err), removeOthers())
	}
	return nil
}

// checkExecutable refuses a path that systemd would read as something else:
// the engine escapes spaces only.
func checkExecutable() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	if strings.ContainsAny(path, "%$;\"'\\{}") {
		return fmt.Errorf("systemd would interpret characters of %q; move the program", path)
	}
	return nil
}

// Uninstall stops and disables the service and removes the units. A package's, which
// they hid, takes over. Where there is none of ours, nothing is left to do.
func Uninstall(out io.Writer) error {
	switch ours, err := isOurs(installed); {
	case errors.Is(err, os.ErrNotExist):
		if path := find(packaged); path != "" {
			return fmt.Errorf("cannot uninstall service: %s belongs to a package; remove the package", path)
		}
		fmt.Fprintln(out, "the service is not installed")
		return nil
	case err != nil:
		return fmt.Errorf("cannot uninstall service: %w", err)
	case !ours:
		return fmt.Errorf("cannot uninstall service: %s was not written by dovesnap", installed)
	}
	s, err := control()
	if err == nil {
		err = stop(s)
	}
	if err == nil {
		err = s.Uninstall()
	}
	if err == nil {
		err = removeOthers()
	}
	if err == nil {
		err = systemctl("daemon-reload")
	}
	if err != nil {
		return fmt.Errorf("cannot uninstall service: %w", err)
	}
	if path := find(packaged); path != "" {
		// It was hidden, and what enables it has just been removed, of the same name.
		if err := systemctl("enable", "--now", name+".socket", name+".service"); err != nil {
			return fmt.Errorf("cannot start %s, which the uninstalled one hid: %w", path, err)
		}
		fmt.Fprintf(out, "uninstalled; %s runs in its place\n", path)
		return nil
	}
	fmt.Fprintln(out, "uninstalled; Open vSwitch and the networks are as they were: dovesnap cleanup removes them")
	return nil
}

// Start starts the service and waits until it is ready.
func Start() error { return act("start", service.Service.Start) }

// Stop stops the service, not Open vSwitch.
func Stop() error { return act("stop", stop) }

// stop stops, at once, all that would start the service again too.
func stop(service.Service) error {
	args := []string{"stop"}
	for _, unit := range []string{name + ".socket", name + ".service", name + "-retry.timer"} {
		if unitFile(unit) != "" {
			args = append(args, unit)
		}
	}
	return systemctl(args...)
}

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Restart stops the service and starts it.
func Restart() error { return act("restart", service.Service.Restart) }

func act(verb string, do func(service.Service) error) error {
	s, err := control()
	if err == nil && find(append(packaged, installed)) == "" {
		err = errors.New("it is not installed: dovesnap service install")
	}
	if err == nil {
		if err = do(s); err != nil {
			err = fmt.Errorf("systemctl %s: %w; see: journalctl -u %s", verb, err, name)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot %s service: %w", verb, err)
	}
	return nil
}

// Running reports whether the service runs, and what it is in words.
func Running() (running bool, state string, err error) {
	if err := booted(); err != nil {
		return false, "", fmt.Errorf("cannot read service status: %w", err)
	}
	s, err := newService()
	if err != nil {
		return false, "", fmt.Errorf("cannot read service status: %w", err)
	}
	switch st, err := s.Status(); {
	case errors.Is(err, service.ErrNotInstalled):
		return false, "not installed", nil
	case err != nil:
		return false, err.Error(), nil // "service in failed state"
	case st == service.StatusRunning:
		return true, "running", nil
	}
	return false, "stopped", nil
}

// control returns the service when it can be changed from here.
func control() (service.Service, error) {
	if err := booted(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("only root may")
	}
	return newService()
}

func newService() (service.Service, error) {
	return service.New(nil, &service.Config{
		Name:        name,
		Description: "Docker network driver for Open vSwitch and Faucet",
		Option:      service.KeyValue{"SystemdScript": unitText(systemd.Main, "{{Path | cmdEscape}}")},
	})
}

// booted is sd_booted(3).
func booted() error {
	if info, err := os.Lstat("/run/systemd/system"); err != nil || !info.IsDir() {
		return errors.New("no systemd runs here; without one, start dovesnap with: dovesnap run")
	}
	return nil
}

// find returns the first path that exists.
func find(paths []string) string {
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}
