// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unfinished begins the name of a file that replace has not finished; digits follow
// (os.CreateTemp). It has our name, since others keep files in that directory.
func unfinished(file string) string { return "." + filepath.Base(file) + ".dovesnap-" }

// sweep removes what a replace of the file left when it was killed. Nobody of ours
// may be writing the file meanwhile.
func sweep(file string) error {
	if file == "" {
		return nil
	}
	dir := filepath.Dir(file)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for unfinished files in %q: %w", dir, cause(err))
	}
	var errs []error
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), unfinished(file))
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" || !madeFor(file, e) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot remove %q: %w", path, cause(err)))
		}
	}
	return errors.Join(errs...)
}

// madeFor reports whether a directory's entry is a plain file of ours, or one that
// replace has given to the file's owner.
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

// Cleanup removes what there is of ours on the host, also of a mode that is no
// longer set: our file, if it is ours, what is remembered of Faucet's, and what was
// not finished. The line that Init added stays: the inclusion is optional.
func Cleanup(cfg FileConfig) error {
	f := newFileBackend(cfg)
	return errors.Join(removeOurs(cfg.File), f.sweep(), save(cfg.State, nil), sweep(cfg.State), sweep(realpath(cfg.Config)))
}

func removeOurs(file string) error {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read %q: %w", file, cause(err))
	case !bytes.HasPrefix(text, []byte(fileMark)):
		return nil
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("cannot remove %q: %w", file, cause(err))
	}
	return nil
}
