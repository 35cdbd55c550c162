// SPDX-License-Identifier: Apache-2.0

package whole

import (
	"os"
	"path/filepath"
	"testing"
)

// litter leaves beside a file what a killed Write of it leaves, and what is not
// ours, whose names it returns.
func litter(t *testing.T, file string) (foreign []string) {
	t.Helper()
	dir, name := filepath.Dir(file), filepath.Base(file)
	for range 2 {
		f, err := os.CreateTemp(dir, "."+name+mark+"*")
		must(t, err)
		must(t, f.Close())
	}
	foreign = []string{
		"." + name + ".123", "." + name + ".dovesnap", "." + name + ".dovesnap-", "." + name + ".dovesnap-12.bak",
		"." + name + ".dovesnap-1x", name + ".dovesnap-1", "." + name + ".swp", ".dovesnap-7", "..dovesnap-7",
	}
	put(t, dir, foreign...)
	link, directory := "."+name+".dovesnap-1", "."+name+".dovesnap-2"
	must(t, os.Symlink(name, filepath.Join(dir, link)))
	must(t, os.Mkdir(filepath.Join(dir, directory), 0o755))
	return append(foreign, link, directory)
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	left := append(litter(t, file), ".a2.dovesnap-1", ".a.dovesnap-1.dovesnap-2")
	put(t, dir, left[len(left)-2:]...)
	for range 2 {
		must(t, Sweep(file))
		wantNames(t, dir, left...)
	}
	for range 2 {
		must(t, SweepDir(dir))
		wantNames(t, dir, left[:len(left)-2]...)
	}
	for _, nothing := range []string{"", filepath.Join(dir, "missing", "a")} {
		must(t, Sweep(nothing))
	}
	must(t, SweepDir(filepath.Join(dir, "missing")))
}

// What is to replace a file is given to its owner; what others have is theirs.
func TestSweepOfAnOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	dir := t.TempDir()
	put(t, dir, "a", ".a.dovesnap-1", ".b.dovesnap-1")
	for _, name := range []string{"a", ".a.dovesnap-1", ".b.dovesnap-1"} {
		must(t, os.Chown(filepath.Join(dir, name), 4321, 4321))
	}
	must(t, SweepDir(dir))
	wantNames(t, dir, "a", ".b.dovesnap-1")
}
