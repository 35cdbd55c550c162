// SPDX-License-Identifier: Apache-2.0

// Package whole writes files whole or not at all, and sweeps what a writer leaves
// that is killed: a file `.NAME.dovesnap-DIGITS` beside NAME. It has our name, since
// others keep files in that directory.
package whole

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Write writes a file so that whoever reads it finds the old text or the new one,
// also after a power cut. The mode holds in spite of the umask; like, when not nil,
// is a file whose owner it gets.
func Write(file string, text []byte, mode os.FileMode, like os.FileInfo) error {
	return Copy(file, bytes.NewReader(text), mode, like)
}

// Copy is Write of what a reader has.
func Copy(file string, from io.Reader, mode os.FileMode, like os.FileInfo) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %q: %w", file, Cause(err))
		}
	}()
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+mark+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	_, err = io.Copy(f, from)
	if sys, ok := owner(like); ok && err == nil {
		err = f.Chown(int(sys.Uid), int(sys.Gid))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func owner(like os.FileInfo) (*syscall.Stat_t, bool) {
	if like == nil {
		return nil, false
	}
	sys, ok := like.Sys().(*syscall.Stat_t)
	return sys, ok
}

// Cause leaves out the path of an error's file: the caller names the one that is
// meant, and a temporary one tells nobody anything.
func Cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
