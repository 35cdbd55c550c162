// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dovesnap/systemd"
)

// mark is the first line of a unit of ours: install overwrites and uninstall
// removes no other.
const mark = `# Written by "dovesnap service install"; "dovesnap service uninstall" removes it.`

// unitDir is the administrator's, where kardianos/service writes too.
const unitDir = "/etc/systemd/system"

// unitText is a unit as it is installed. The program's path is put in as program
// says, which may be an action of kardianos/service's small template engine.
func unitText(unit, program string) string {
	text, err := systemd.Units.ReadFile(unit)
	if err != nil {
		panic(err) // it is embedded
	}
	return mark + "\n# Your changes belong into a drop-in: systemctl edit " + unit + "\n" +
		strings.ReplaceAll(string(text), systemd.Program, program)
}

// writeOthers writes the units beside the main one, or replaces those that an
// earlier install wrote.
func writeOthers() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	program = strings.ReplaceAll(program, " ", `\x20`)
	for _, unit := range systemd.Others {
		path := filepath.Join(unitDir, unit)
		if err := checkOurs(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(unitText(unit, program)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// removeOthers removes what writeOthers wrote.
func removeOthers() error {
	var errs []error
	for _, unit := range systemd.Others {
		path := filepath.Join(unitDir, unit)
		if ours, err := isOurs(path); err == nil && ours {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// isOurs reports whether a unit carries our mark.
func isOurs(path string) (bool, error) {
	text, err := os.ReadFile(path)
	return bytes.HasPrefix(text, []byte(mark)), err
}

// checkOurs is nil for a unit of ours, and where there is none.
func checkOurs(path string) error {
	switch ours, err := isOurs(path); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !ours:
		return fmt.Errorf("%s was not written by dovesnap; remove it first", path)
	}
	return nil
}

// IsUnit reports whether this process is the service of a systemd that has units
// for Open vSwitch's daemons too.
func IsUnit() bool {
	if os.Getenv("INVOCATION_ID") == "" || booted() != nil {
		return false
	}
	for _, unit := range []string{"dovesnap-ovsdb.service", "dovesnap-vswitchd.service"} {
		if unitFile(unit) == "" {
			return false
		}
	}
	return true
}

// unitFile is the path of a unit, installed by us or by a package; "" without.
func unitFile(unit string) string {
	return find([]string{unitDir + "/" + unit, "/usr/lib/systemd/system/" + unit, "/lib/systemd/system/" + unit})
}
