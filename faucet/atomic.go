// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{missing: true}
	}
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ino = sys.Ino
	}
	return s
}

// replace writes a file so that whoever reads it finds the old text or the new
// one, also after a power cut. The mode holds in spite of the umask; like, when
// not nil, is a file whose owner it gets. What a kill leaves is for sweep.
func replace(file string, text []byte, mode os.FileMode, like os.FileInfo) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot write %q: %w", file, err)
		}
	}()
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, unfinished(file)+"*")
	if err != nil {
		return cause(err)
	}
	defer os.Remove(f.Name()) // fails when it was renamed
	_, err = f.Write(text)
	if sys, ok := owner(like); ok && err == nil {
		err = f.Chown(int(sys.Uid), int(sys.Gid))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return cause(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return cause(err)
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

// cause leaves out the path of a temporary file, which tells nobody anything.
func cause(err error) error {
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
