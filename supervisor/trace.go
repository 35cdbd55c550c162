// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"dovesnap/whole"
)

// createdFile, in DBDir, lists the files there that dovesnap made because they
// were absent, so that they can go with it: a distribution's package makes them
// too, and then they stay.
const createdFile = "dovesnap-created"

func (c Config) createdPath() string { return filepath.Join(c.DBDir, createdFile) }

// created returns the names in the list; none when there is no list.
func (c Config) created() ([]string, error) {
	text, err := os.ReadFile(c.createdPath())
	if os.IsNotExist(err) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// noteCreated adds a name to the list.
func (c Config) noteCreated(name string) error {
	names, err := c.created()
	if err != nil {
		return err
	}
	for _, known := range names {
		if known == name {
			return nil
		}
	}
	return whole.Write(c.createdPath(), []byte(strings.Join(append(names, name), "\n")+"\n"), 0o644, nil)
}

// RemoveState removes what a Supervisor left in StateDir, beside an Open vSwitch
// that goes on: what a daemon of ours still writes to stays.
func RemoveState(cfg Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	errs := []error{os.RemoveAll(c.flowsDir()), c.sweep(), remove(c.triesFile()), remove(c.lockFile()), remove(c.pauseFile())}
	_ = os.Remove(c.StateDir) // fails where there is more
	return errors.Join(errs...)
}

// RemoveSettings removes from the database, which may stay, what dovesnap set in it
// beside its bridges.
func (s *Supervisor) RemoveSettings(ctx context.Context) error {
	now, err := s.cfg.root(ctx)
	if err != nil || now.ids[settingMark] == "" {
		return err
	}
	_, err = s.cfg.transact(ctx, mutateRoot(drop("other_config", now.ids[settingMark]), drop("external_ids", settingMark)))
	return err
}

// RemoveDatabase removes the database and system-id that dovesnap made, and what
// RemoveCopies does. Call it after Down, and only when no bridge of somebody else's is
// in the database.
func RemoveDatabase(cfg Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	names, err := c.created()
	if err != nil {
		return err
	}
	db, err := c.left()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		switch name {
		case "conf.db":
			for _, file := range []string{db, db + ".tmp"} { // ovsdb's own: a compaction writes it
				dir, name := filepath.Split(file)
				errs = append(errs, remove(file), remove(dir+"."+name+".~lock~"))
			}
		case "system-id.conf":
			errs = append(errs, remove(filepath.Join(c.DBDir, name)))
		}
	}
	return errors.Join(append(errs, RemoveCopies(cfg))...)
}

// RemoveCopies removes dovesnap's copies of any database, and the list of what it
// made: from now on the database is the host's.
func RemoveCopies(cfg Config) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	db, err := c.left()
	if err != nil {
		return err
	}
	errs := []error{remove(c.createdPath())}
	for _, pattern := range []string{".backup-*", ".corrupt-*"} {
		files, _ := filepath.Glob(db + pattern)
		for _, f := range files {
			errs = append(errs, remove(f))
		}
	}
	return errors.Join(errs...)
}

// left is where the database is, or was: a purge of Debian's package removes only the
// link to it.
func (c Config) left() (string, error) {
	if _, err := os.Lstat(c.database()); os.IsNotExist(err) && c.DBDir == "/etc/openvswitch" {
		return "/var/lib/openvswitch/conf.db", nil
	}
	return resolve(c.database())
}
