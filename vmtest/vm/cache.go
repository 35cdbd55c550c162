// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dovesnap/e2e/host"
)

// A cached is a directory of the cache that is made once and only read then. Its
// name is a stem, which says what it is, and a key, a hash of what it was made
// of; of those that differ in nothing but the key, the two used last are kept.
type cached struct {
	path string
	held []*os.File // locks, shared, on what is in use: this one and what it is built on
}

// keep is how many of a stem there are: two people's, or two branches'.
const keep = 2

// key is a hash of everything that something is made of.
func key(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return fmt.Sprintf("%x", sum[:5])
}

// cache returns the directory stem-key in the cache, made by build when it is
// not there: build fills the directory that it is given. What is built on
// another is told so, and holds it.
func cache(stem, key string, on *cached, build func(dir string) error) (*cached, error) {
	c := &cached{path: filepath.Join(host.CacheDir(), "vm", stem+"-"+key)}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return nil, err
	}
	if on != nil {
		c.held = append(c.held, on.held...)
	}
	// Held before it is looked for, so that it is not removed in between.
	use, err := lock(c.path+".use", unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	c.held = append(c.held, use)
	now := time.Now()
	_ = os.Chtimes(use.Name(), now, now) // else an older one is kept in its place
	return c, host.Once(c.path, func() error {
		if err := prune(filepath.Dir(c.path), stem); err != nil {
			return err
		}
		// Renamed when complete: half of one never has the name.
		partial := c.path + ".partial"
		if err := errors.Join(os.RemoveAll(partial), os.Mkdir(partial, 0o755)); err != nil {
			return err
		}
		if err := build(partial); err != nil {
			return errors.Join(err, os.RemoveAll(partial))
		}
		return os.Rename(partial, c.path)
	})
}

// prune removes those of a stem that were not used lately and are not in use,
// until there is room for one.
func prune(dir, stem string) error {
	type entry struct {
		path string
		used time.Time
	}
	var entries []entry
	uses, err := filepath.Glob(filepath.Join(dir, stem+"-*.use"))
	if err != nil {
		return err
	}
	for _, use := range uses {
		path := strings.TrimSuffix(use, ".use")
		if strings.Contains(strings.TrimPrefix(path, filepath.Join(dir, stem)+"-"), "-") {
			continue // of a longer stem
		}
		if info, err := os.Stat(use); err == nil {
			entries = append(entries, entry{path, info.ModTime()})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(b.used.UnixNano(), a.used.UnixNano()) })
	for _, e := range entries[min(keep, len(entries)):] {
		use, err := lock(e.path+".use", unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // in use
		}
		if err == nil {
			err = errors.Join(os.RemoveAll(e.path), os.RemoveAll(e.path+".partial"),
				os.Remove(e.path+".use"), os.RemoveAll(e.path+".lock"), use.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// release lets the directory go; it may be removed now.
func (c *cached) release() {
	for _, use := range c.held {
		_ = use.Close()
	}
}

// lock opens a file, made when it is not there, and locks it (flock(2)).
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("cannot lock %q: %w", path, err)
	}
	return file, nil
}
