// SPDX-License-Identifier: Apache-2.0

package whole

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mark is in the name of a file that is not finished; digits follow (os.CreateTemp).
const mark = ".dovesnap-"

// Sweep removes what a Write of the file left when it was killed. Nobody of ours may
// be writing the file meanwhile.
func Sweep(file string) error {
	if file == "" {
		return nil
	}
	return sweep(filepath.Dir(file), func(name string) bool { return name == filepath.Base(file) })
}

// SweepDir is Sweep of every file of a directory.
func SweepDir(dir string) error { return sweep(dir, func(string) bool { return true }) }

func sweep(dir string, of func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for unfinished files in %q: %w", dir, Cause(err))
	}
	var errs []error
	for _, e := range entries {
		name, ok := finished(e.Name())
		if !ok || !of(name) || !madeFor(filepath.Join(dir, name), e) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot remove %q: %w", path, Cause(err)))
		}
	}
	return errors.Join(errs...)
}

// finished returns the name that a file was to have.
func finished(unfinished string) (name string, ok bool) {
	at := strings.LastIndex(unfinished, mark)
	if at < 2 || unfinished[0] != '.' {
		return "", false
	}
	digits := unfinished[at+len(mark):]
	return unfinished[1:at], digits != "" && strings.Trim(digits, "0123456789") == ""
}

// madeFor reports whether a directory's entry is a plain file of ours, or one that
// Write has given to the file's owner.
func madeFor(file string, e os.DirEntry) bool {
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	is, _ := owner(info)
	if int(is.Uid) == os.Geteuid() {
		return true
	}
	like, err := os.Stat(file)
	if err != nil {
		return false
	}
	its, _ := owner(like)
	return is.Uid == its.Uid
}
