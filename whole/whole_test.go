// SPDX-License-Identifier: Apache-2.0

package whole

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), have); diff != "" {
		t.Error(diff)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	for _, text := range []string{"1", "2", "2"} {
		must(t, Write(file, []byte(text), 0o664, nil))
		got, err := os.ReadFile(file)
		info, _ := os.Stat(file)
		if string(got) != text || err != nil || info.Mode() != 0o664 {
			t.Error(string(got), err, info)
		}
	}
	must(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	for _, name := range []string{dir + "/d", dir + "/missing/a"} {
		why := "file exists"
		if filepath.Base(name) == "a" {
			why = "no such file or directory"
		}
		if err := Write(name, nil, 0o644, nil); err == nil || err.Error() != `cannot write "`+name+`": `+why {
			t.Errorf("got %v", err)
		}
	}
	wantNames(t, dir, "a", "d")
}

func TestWriteGivesToTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir := t.TempDir()
	put(t, dir, "theirs")
	theirs := filepath.Join(dir, "theirs")
	must(t, os.Chown(theirs, 4321, 4321))
	like, err := os.Stat(theirs)
	must(t, err)
	must(t, Write(theirs, nil, 0o600, like))
	now, err := os.Stat(theirs)
	must(t, err)
	if is, _ := owner(now); is.Uid != 4321 || is.Gid != 4321 {
		t.Errorf("it belongs to %d:%d", is.Uid, is.Gid)
	}
}

// reader ends with an error in the middle of a text.
type reader struct{}

var errReader = errors.New("out of paper")

func (reader) Read(p []byte) (int, error) { return copy(p, "half"), errReader }

func TestCopyOfHalf(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	must(t, Write(file, []byte("whole"), 0o644, nil))
	if err := Copy(file, reader{}, 0o644, nil); !errors.Is(err, errReader) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(file); string(got) != "whole" {
		t.Errorf("it is %q", got)
	}
	wantNames(t, dir, "a")
}
