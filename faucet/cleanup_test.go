// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dovesnap/spec"
)

// litter leaves beside a file what a write of it leaves that is killed (package
// whole), and a file that is not ours, whose name it returns.
func litter(t *testing.T, file string) (foreign []string) {
	t.Helper()
	name := "." + filepath.Base(file) + ".dovesnap-12"
	for _, n := range []string{name, name + "3", name + ".bak"} {
		write(t, filepath.Join(filepath.Dir(file), n), "")
	}
	return []string{name + ".bak"}
}

// names lists a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func sameNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// halfChecked leaves what a check leaves when its process is killed.
func halfChecked(t *testing.T, cfg FileConfig) {
	t.Helper()
	dir := newFileBackend(cfg).copies()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "0-faucet.yaml"), "include: [")
}

func TestStartSweeps(t *testing.T) {
	f, cfg := newFake(t)
	cfg.State = filepath.Join(t.TempDir(), "faucet")
	ours := litter(t, f.file)
	state := litter(t, cfg.State)
	halfChecked(t, cfg)
	write(t, cfg.State+"-check2", "mine")
	f.set(func(f *fakeFaucet) { f.auto = true })
	for range 2 {
		c, stop := start(t, cfg)
		c.Want(spec.State{}, nil)
		await(t, "delivery", c, func() bool { return c.Status().Delivered })
		stop()
		sameNames(t, filepath.Dir(f.file), append(ours, "faucet.yaml", "dovesnap.yaml")...)
		sameNames(t, filepath.Dir(cfg.State), append(state, "faucet-check2")...)
	}
}

// A check comes after another that was killed, and leaves nothing.
func TestCheckAfterKill(t *testing.T) {
	log := withChecker(t, "cat $1 >>$log\n")
	f, cfg := newFake(t)
	halfChecked(t, cfg)
	b := newFileBackend(cfg)
	s, err := b.look(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	wanted := render(Wanted{State: state([]spec.Network{network("a", nil)})}, s.others)
	if err := b.check(t.Context(), Config{}, wanted); err != nil {
		t.Error(err)
	}
	if read(t, log) == "" {
		t.Error("it was not checked")
	}
	sameNames(t, filepath.Dir(f.file), "faucet.yaml")
}

func TestInitSweeps(t *testing.T) {
	dir := tree(t, map[string]string{"faucet.yaml@": "real/faucet.yaml", "real/faucet.yaml": "dps: {}\n"})
	real := filepath.Join(dir, "real/faucet.yaml")
	foreign := litter(t, real)
	for range 2 {
		if _, _, err := Init(filepath.Join(dir, "faucet.yaml"), filepath.Join(dir, "dovesnap.yaml")); err != nil {
			t.Fatal(err)
		}
		sameNames(t, filepath.Dir(real), append(foreign, "faucet.yaml")...)
	}
}

func TestCleanup(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		left []string
	}{
		"no file":         {"", nil},
		"somebody else's": {"dps: {}\n", []string{"dovesnap.yaml"}},
		"ours":            {Config{}.String(), nil},
	} {
		dir, run := t.TempDir(), t.TempDir()
		cfg := FileConfig{Config: filepath.Join(dir, "faucet.yaml"), File: filepath.Join(dir, "dovesnap.yaml"), State: filepath.Join(run, "faucet")}
		foreign := append(litter(t, cfg.Config), litter(t, cfg.File)...)
		state := litter(t, cfg.State)
		halfChecked(t, cfg)
		write(t, cfg.State, "[]")
		if tt.text != "" {
			write(t, cfg.File, tt.text)
		}
		for range 2 {
			if err := Cleanup(cfg); err != nil {
				t.Error(name, err)
			}
			sameNames(t, dir, append(foreign, tt.left...)...)
			sameNames(t, run, state...)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if err := Cleanup(FileConfig{Config: missing + "/faucet.yaml", File: missing + "/dovesnap.yaml", State: missing + "/faucet"}); err != nil {
		t.Error("without Faucet:", err)
	}
}
