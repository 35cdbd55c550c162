// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// killed leaves what processes of ours leave that are killed while they write, in
// three directories: beside the list of what is created, beside the database, to
// which a symlink leads, and with the state.
func killed(t *testing.T) (cfg Config, dirs []string) {
	t.Helper()
	cfg = testConfig(t)
	dirs = []string{cfg.DBDir, filepath.Join(t.TempDir(), "var"), cfg.StateDir}
	files := [][]string{
		{".dovesnap-created.dovesnap-12", ".system-id.conf.dovesnap-12"},
		{".conf.db.dovesnap-12", ".conf.db.backup-1.dovesnap-12"},
		{".restoring.dovesnap-12"},
	}
	for i, dir := range dirs {
		must(t, os.MkdirAll(dir, 0o755))
		for _, name := range append(files[i], ".theirs.123", "theirs.part") {
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
	}
	must(t, os.Symlink(filepath.Join(dirs[1], "conf.db"), cfg.database()))
	return cfg, dirs
}

// wantLeft compares a directory with what is not ours in it, and the names.
func wantLeft(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	want := slices.Sorted(slices.Values(append(names, ".theirs.123", "theirs.part")))
	if !slices.Equal(have, want) {
		t.Errorf("left in %s: %q, want %q", dir, have, want)
	}
}

func TestStartSweeps(t *testing.T) {
	cfg, dirs := killed(t)
	f := &flowStore{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	for range 2 {
		_, _ = f.begin(t.Context()) // an error: no Open vSwitch runs
		wantLeft(t, dirs[2])
	}
	needTools(t)
	for range 2 {
		must(t, cfg.prepareDatabase(t.Context(), slog.New(slog.DiscardHandler)))
		wantLeft(t, dirs[0], "conf.db", "dovesnap-created")
		backups := newest(filepath.Join(dirs[1], "conf.db.backup-*"))
		for i := range backups {
			backups[i] = filepath.Base(backups[i])
		}
		wantLeft(t, dirs[1], append(backups, "conf.db", ".conf.db.~lock~")...)
	}
}

// Nobody runs here, and nobody did to the end.
func TestDownAndCleanupSweep(t *testing.T) {
	for name, remove := range map[string]func(Config) error{
		"down":    func(cfg Config) error { return Down(context.Background(), cfg, slog.New(slog.DiscardHandler)) },
		"cleanup": RemoveState,
	} {
		t.Run(name, func(t *testing.T) {
			cfg, dirs := killed(t)
			must(t, os.WriteFile(cfg.triesFile(), []byte("xx"), 0o600))
			for range 2 {
				must(t, remove(cfg))
				wantLeft(t, dirs[0], "conf.db")
				wantLeft(t, dirs[1])
				wantLeft(t, dirs[2])
			}
		})
	}
}

// Where the database stays, the copies of it and the list do not.
func TestRemoveCopies(t *testing.T) {
	cfg := testConfig(t)
	must(t, os.MkdirAll(cfg.DBDir, 0o755))
	for _, name := range []string{"conf.db", "conf.db.backup-20260101T000000.000000Z", "conf.db.corrupt-20260101T000000.000000Z", createdFile} {
		must(t, os.WriteFile(filepath.Join(cfg.DBDir, name), []byte("conf.db\n"), 0o640))
	}
	for range 2 {
		must(t, RemoveCopies(cfg))
		if left, _ := filepath.Glob(cfg.DBDir + "/*"); !slices.Equal(left, []string{cfg.database()}) {
			t.Errorf("left: %q", left)
		}
	}
}

// A half copy is none of the backups.
func TestHalfABackup(t *testing.T) {
	needTools(t)
	cfg := testConfig(t)
	fill(t, cfg, "old")
	must(t, os.WriteFile(filepath.Join(cfg.DBDir, ".conf.db.backup-29991231T000000.000000Z.dovesnap-12"), []byte("half"), 0o640))
	must(t, cfg.prepareDatabase(t.Context(), slog.New(slog.DiscardHandler)))
	if have := newest(cfg.database() + ".backup-*"); len(have) != 1 {
		t.Errorf("backups: %q", have)
	}
}
