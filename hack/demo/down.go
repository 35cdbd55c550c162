// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"dovesnap/e2e/host"
)

// shell runs a command, or a shell, in the demo, on this terminal.
func shell(argv []string) error {
	h, err := host.Find(name)
	if err != nil {
		return err
	}
	if h == nil {
		return errors.New("the demo does not run; start it with: sudo make demo")
	}
	if len(argv) == 0 {
		fmt.Println("in the demo; try: docker ps, ovs-vsctl show, dovesnap status; leave with exit")
		argv = []string{"bash", "--norc"}
	}
	cmd := host.Command(argv)
	cmd.Env = append(cmd.Env, "PS1=demo# ", "TERM="+os.Getenv("TERM"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := h.Attach(cmd); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && exit.Exited() {
		os.Exit(exit.ExitCode())
	} else {
		return err
	}
	return nil
}

// down removes a demo, whole or half-made; that there is none is no error.
func down() error {
	h, err := host.Find(name)
	if err != nil {
		return err
	}
	if h != nil {
		fmt.Println("ending every process of the demo")
		if err := h.Close(); err != nil {
			return err
		}
	}
	if err := host.RemoveCgroups(name); err != nil {
		return err
	}
	if err := removePackages(filepath.Join(stateDir, "packages")); err != nil {
		return err
	}
	if err := os.RemoveAll(stateDir); err != nil {
		return err
	}
	fmt.Println("the demo is gone")
	return nil
}

// removePackages removes the packages that hack/setup.sh recorded as installed
// for the demo, unless something installed since needs them.
func removePackages(record string) error {
	text, err := os.ReadFile(record)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	packages := strings.Fields(string(text))
	if len(packages) == 0 {
		return nil
	}
	fmt.Printf("removing the %d packages installed for the demo\n", len(packages))
	out, err := exec.Command("dpkg", append([]string{"--purge"}, packages...)...).CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		fmt.Printf("some stay, as they are needed now: %s\n", lines[len(lines)-1])
	}
	return nil
}
