// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	cfg, err := Config{RunDir: dir + "/run", DBDir: dir + "/etc", StateDir: dir + "/state"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a database with one transaction per bridge name, as its log has it.
func fill(t *testing.T, cfg Config, bridges ...string) {
	t.Helper()
	must(t, os.MkdirAll(cfg.DBDir, 0o755))
	must(t, cfg.create(t.Context(), cfg.database()))
	transact := func(ops string) {
		_, err := cfg.run(t.Context(), "", "ovsdb-tool", "transact", cfg.database(), `["Open_vSwitch",`+ops+`]`)
		must(t, err)
	}
	transact(`{"op":"insert","table":"Open_vSwitch","row":{}}`)
	for _, name := range bridges {
		transact(`{"op":"insert","table":"Bridge","uuid-name":"b","row":{"name":"` + name + `"}},
			{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["bridges","insert",["named-uuid","b"]]]}`)
	}
}

// holds lists which of the names the database has as bridges.
func holds(t *testing.T, cfg Config, names ...string) string {
	t.Helper()
	out, err := cfg.run(t.Context(), "", "ovsdb-tool", "query", cfg.database(),
		`["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["name"]}]`)
	must(t, err)
	var have []string
	for _, name := range names {
		if strings.Contains(out, `"`+name+`"`) {
			have = append(have, name)
		}
	}
	return strings.Join(have, " ")
}

func TestDatabaseDamage(t *testing.T) {
	needTools(t)
	rewrite := func(f func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, f(b), 0o640))
		}
	}
	// The backup holds bridge "old"; the database "old" and a part that is newer.
	for _, tc := range []struct {
		name    string
		damage  func(*testing.T, string)
		backup  bool
		want    string
		corrupt int
	}{
		{"none", func(*testing.T, string) {}, true, "old new", 0},
		{"missing", func(t *testing.T, p string) { must(t, os.Remove(p)) }, true, "", 0},
		{"directory missing", func(t *testing.T, p string) { must(t, os.RemoveAll(filepath.Dir(p))) }, false, "", 0},
		{"last record cut short", rewrite(func(b []byte) []byte { return b[:len(b)-20] }), true, "old", 1},
		{"trailing zeros", rewrite(func(b []byte) []byte { return append(b, make([]byte, 64)...) }), true, "old new", 1},
		{"byte flipped in last record", rewrite(func(b []byte) []byte { b[len(b)-20] ^= 1; return b }), true, "old", 1},
		{"byte flipped in schema, backup", rewrite(func(b []byte) []byte { b[200] ^= 1; return b }), true, "old", 1},
		{"byte flipped in schema, no backup", rewrite(func(b []byte) []byte { b[200] ^= 1; return b }), false, "", 1},
		{"bad magic", rewrite(func(b []byte) []byte { b[0] = 'X'; return b }), true, "old", 1},
		{"empty file", rewrite(func([]byte) []byte { return nil }), true, "old", 1},
		{"all zero", rewrite(func(b []byte) []byte { return make([]byte, len(b)) }), false, "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := testConfig(t)
			fill(t, cfg, "old")
			if tc.backup {
				must(t, backup(cfg.database(), slog.New(slog.DiscardHandler)))
			}
			must(t, os.Remove(cfg.database()))
			fill(t, cfg, "old", "new")
			tc.damage(t, cfg.database())

			for pass := range 2 { // the second time there is nothing left to repair
				var log bytes.Buffer
				must(t, cfg.prepareDatabase(t.Context(), slog.New(slog.NewTextHandler(&log, nil))))
				if got := holds(t, cfg, "old", "new"); got != tc.want {
					t.Errorf("has bridges %q, want %q", got, tc.want)
				}
				if ok, err := cfg.sound(t.Context(), cfg.database()); !ok || err != nil {
					t.Errorf("the result is not sound: %v", err)
				}
				aside := newest(cfg.database() + ".corrupt-*")
				if len(aside) != tc.corrupt {
					t.Errorf("set aside: %v, want %d", aside, tc.corrupt)
				}
				if said := strings.Contains(log.String(), "damaged"); said != (tc.corrupt > 0 && pass == 0) {
					t.Errorf("pass %d: log: %s", pass, &log)
				}
			}
		})
	}
}

func TestDatabaseKeepsSymlink(t *testing.T) {
	needTools(t)
	cfg := testConfig(t)
	real := filepath.Join(t.TempDir(), "var", "conf.db") // its directory is missing too
	must(t, os.MkdirAll(cfg.DBDir, 0o755))
	must(t, os.Symlink(real, cfg.database()))
	log := slog.New(slog.DiscardHandler)
	must(t, cfg.prepareDatabase(t.Context(), log))
	must(t, os.WriteFile(real, []byte("garbage"), 0o640))
	must(t, cfg.prepareDatabase(t.Context(), log))
	if target, err := os.Readlink(cfg.database()); err != nil || target != real {
		t.Errorf("conf.db is a link to %q (%v), want %q", target, err, real)
	}
	if ok, err := cfg.sound(t.Context(), real); !ok || err != nil {
		t.Errorf("%s is not sound: %v", real, err)
	}
}

func TestDatabaseConversion(t *testing.T) {
	needTools(t)
	cfg := testConfig(t)
	fill(t, cfg, "old")
	b, err := os.ReadFile(cfg.Schema)
	must(t, err)
	log := slog.New(slog.DiscardHandler)

	// A newer schema: it lacks a column, so that conversion has work to do.
	version, err := schemaVersion(cfg.Schema)
	must(t, err)
	next := bytes.Replace(b, []byte(version), []byte("99.0.0"), 1)
	cfg.Schema = filepath.Join(t.TempDir(), "next.ovsschema")
	must(t, os.WriteFile(cfg.Schema, next, 0o644))
	must(t, os.WriteFile(cfg.database()+".tmp", []byte("half"), 0o640)) // an earlier conversion was killed
	must(t, cfg.prepareDatabase(t.Context(), log))
	got, err := cfg.run(t.Context(), "", "ovsdb-tool", "db-version", cfg.database())
	must(t, err)
	if strings.TrimSpace(got) != "99.0.0" || holds(t, cfg, "old") != "old" {
		t.Errorf("version %q with bridges %q, want 99.0.0 with old", got, holds(t, cfg, "old"))
	}
	if n := len(newest(cfg.database() + ".backup-*")); n != 1 {
		t.Errorf("%d backups, want the one of before", n)
	}

	// One that cannot hold our rows: an empty database, the old one kept.
	never := bytes.Replace(next, []byte("99.0.0"), []byte("99.0.1"), 1)
	var schema map[string]any
	must(t, json.Unmarshal(never, &schema))
	bridge := schema["tables"].(map[string]any)["Bridge"].(map[string]any)
	bridge["columns"].(map[string]any)["name"] = map[string]any{"type": "integer"}
	never, err = json.Marshal(schema)
	must(t, err)
	must(t, os.WriteFile(cfg.Schema, never, 0o644))
	must(t, cfg.prepareDatabase(t.Context(), log))
	got, err = cfg.run(t.Context(), "", "ovsdb-tool", "db-version", cfg.database())
	must(t, err)
	if strings.TrimSpace(got) != "99.0.1" || holds(t, cfg, "old") != "" {
		t.Errorf("version %q with bridges %q, want 99.0.1 with none", got, holds(t, cfg, "old"))
	}
	if n := len(newest(cfg.database() + ".corrupt-*")); n != 1 {
		t.Errorf("%d databases set aside, want 1", n)
	}

	must(t, cfg.noteCreated("conf.db"))
	must(t, os.WriteFile(cfg.database()+".tmp", []byte("half"), 0o640))
	for range 2 {
		must(t, RemoveDatabase(cfg))
		if left, _ := os.ReadDir(cfg.DBDir); len(left) > 0 {
			t.Errorf("left with the database gone: %v", left)
		}
	}
}

func TestDatabaseCopiesAreFew(t *testing.T) {
	needTools(t)
	cfg := testConfig(t)
	fill(t, cfg, "a")
	log := slog.New(slog.DiscardHandler)
	for range 3 * keepCopies {
		must(t, os.WriteFile(cfg.database(), []byte("garbage"), 0o640))
		must(t, cfg.prepareDatabase(t.Context(), log))
	}
	for _, kind := range []string{"backup", "corrupt"} {
		if n := len(newest(cfg.database() + "." + kind + "-*")); n > keepCopies {
			t.Errorf("%d files %s, want at most %d", n, kind, keepCopies)
		}
	}
}

// An inability to look must not be taken for damage.
func TestDatabaseIsNotJudgedWithoutLooking(t *testing.T) {
	needTools(t)
	cfg := testConfig(t)
	fill(t, cfg, "old")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cfg.prepareDatabase(ctx, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error although nothing could be run")
	}
	if holds(t, cfg, "old") != "old" || len(newest(cfg.database()+".corrupt-*")) > 0 {
		t.Error("the database was touched")
	}
}
