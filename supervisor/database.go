// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dovesnap/whole"
)

const keepCopies = 3 // backups, and damaged databases, of each the newest

// prepareDatabase leaves a sound database of the installed schema at conf.db.
//
// ovsdb-server itself starts from a damaged file, silently without the newest
// transactions; needs-conversion and db-version do not notice either. Only
// `ovsdb-tool show-log` reads every record, so that is the check.
func (c Config) prepareDatabase(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	db, err := resolve(c.database())
	if err != nil {
		return err
	}
	if err := c.sweepDatabase(); err != nil {
		log.Warn("what an earlier dovesnap did not finish is left", "err", err)
	}
	if _, err := os.Stat(db); os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(db), 0o755); err != nil {
			return err
		}
		log.Info("creating the Open vSwitch database", "file", db)
		if err := c.noteCreated("conf.db"); err != nil {
			return err
		}
		return c.create(ctx, db)
	} else if err != nil {
		return err
	}
	sound, err := c.sound(ctx, db)
	if err != nil {
		return err
	}
	if !sound {
		if err := c.repair(ctx, db, log); err != nil {
			return err
		}
	}
	needs, err := c.run(ctx, "", "ovsdb-tool", "needs-conversion", db, c.Schema)
	if err != nil {
		return err
	}
	if strings.TrimSpace(needs) == "yes" {
		return c.convert(ctx, db, log)
	}
	if err := backup(db, log); err != nil {
		// On a full disk it fails for as long as that is full, and what the sound
		// database describes carries traffic.
		log.Warn("the Open vSwitch database is served without a new backup", "err", err)
	}
	return nil
}

// resolve follows a symlink even to a file that is not there, so that every rename
// happens beside the real file and the link stays.
func resolve(path string) (string, error) {
	for range 8 {
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // not a link
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("cannot follow %s: too many links", path)
}

func (c Config) create(ctx context.Context, db string) error {
	_, err := c.run(ctx, "", "ovsdb-tool", "create", db, c.Schema)
	return err
}

// sound tells damage from the inability to look.
func (c Config) sound(ctx context.Context, db string) (bool, error) {
	_, err := c.run(ctx, "", "ovsdb-tool", "show-log", db)
	if err == nil || verdict(err) && ctx.Err() == nil {
		return err == nil, nil
	}
	return false, err
}

// repair sets the damaged file aside and puts in its place the best there is:
// its own records up to the damage (what ovsdb-server would serve), else the
// newest sound backup, else an empty database, which dovesnap fills again. At
// no moment is there no conf.db while there is something to restore.
func (c Config) repair(ctx context.Context, db string, log *slog.Logger) error {
	aside, err := setAside(db, log)
	if err != nil {
		return err
	}
	log.Error("the Open vSwitch database is damaged; set aside", "file", db, "aside", aside)
	candidates := newest(db + ".backup-*")
	if salvaged := aside + ".salvaged"; salvage(aside, salvaged) == nil {
		defer os.Remove(salvaged)
		candidates = append([]string{salvaged}, candidates...)
	}
	for _, from := range candidates {
		if ok, err := c.sound(ctx, from); err != nil || !ok {
			log.Warn("not usable for a repair", "file", from, "err", err)
			continue
		}
		if err := copyFile(from, db); err != nil {
			return err
		}
		log.Warn("repaired the Open vSwitch database", "from", from)
		return nil
	}
	log.Error("nothing to repair the Open vSwitch database from; starting with an empty one", "file", db)
	return c.recreate(ctx, db)
}

// setAside gives the file a second name, which stays when the first is replaced. One
// that has it, from a repair that failed, gets no third, which would take the place of
// other damaged files.
func setAside(db string, log *slog.Logger) (string, error) {
	st, err := os.Stat(db)
	if err != nil {
		return "", fmt.Errorf("cannot set the damaged database aside: %w", err)
	}
	for _, aside := range newest(db + ".corrupt-*") {
		if other, err := os.Stat(aside); err == nil && os.SameFile(st, other) {
			return aside, nil
		}
	}
	aside := db + ".corrupt-" + stamp()
	if err := os.Link(db, aside); err != nil {
		return "", fmt.Errorf("cannot set the damaged database aside: %w", err)
	}
	prune(db+".corrupt-*", log)
	return aside, nil
}

func (c Config) recreate(ctx context.Context, db string) error {
	if err := os.Remove(db); err != nil {
		return err
	}
	return c.create(ctx, db)
}

// salvage copies the records before the damage. A record is the line
// "OVSDB JSON <length> <SHA-1>" and that many bytes (ovsdb(7)); the first is
// the schema, which alone is not worth more than a backup.
func salvage(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReader(in)
	end, records := int64(0), 0
	for {
		header, err := r.ReadString('\n')
		var length int64
		var want string
		if _, serr := fmt.Sscanf(header, "OVSDB JSON %d %s\n", &length, &want); err != nil || serr != nil {
			break
		}
		sum := sha1.New()
		if _, err := io.CopyN(sum, r, length); err != nil || hex.EncodeToString(sum.Sum(nil)) != want {
			break
		}
		end += int64(len(header)) + length
		records++
	}
	if records < 2 {
		return errors.New("no transaction precedes the damage")
	}
	if err := copyFile(from, to); err != nil {
		return err
	}
	return os.Truncate(to, end)
}

// convert moves the database to the installed schema, the backup first. Where
// that is impossible an empty database takes its place, as ovs-ctl does, but
// the old one stays.
func (c Config) convert(ctx context.Context, db string, log *slog.Logger) error {
	if err := backup(db, log); err != nil {
		return err
	}
	// What a killed one left would make it fail.
	if err := remove(db + ".tmp"); err != nil {
		return err
	}
	log.Info("converting the Open vSwitch database to the installed schema", "file", db)
	if _, err := c.run(ctx, "", "ovsdb-tool", "compact", db); err != nil {
		log.Warn("cannot compact the Open vSwitch database", "err", err)
	}
	_, err := c.run(ctx, "", "ovsdb-tool", "convert", db, c.Schema)
	if err == nil || !verdict(err) || strings.Contains(err.Error(), "No space left") || ctx.Err() != nil {
		return err
	}
	aside, aerr := setAside(db, log)
	if aerr != nil {
		return errors.Join(err, aerr)
	}
	log.Error("cannot convert the Open vSwitch database; starting with an empty one", "err", err, "aside", aside)
	return c.recreate(ctx, db)
}

// backup copies a sound database unless the newest copy is as new already.
func backup(db string, log *slog.Logger) error {
	st, err := os.Stat(db)
	if err != nil {
		return err
	}
	if have := newest(db + ".backup-*"); len(have) > 0 {
		if b, err := os.Stat(have[0]); err == nil && !b.ModTime().Before(st.ModTime()) {
			return nil
		}
	}
	if err := copyFile(db, db+".backup-"+stamp()); err != nil {
		return fmt.Errorf("cannot back up the Open vSwitch database: %w", err)
	}
	prune(db+".backup-*", log)
	return nil
}

// stamp sorts by time.
func stamp() string { return time.Now().UTC().Format("20060102T150405.000000Z") }

func newest(pattern string) []string {
	paths, _ := filepath.Glob(pattern) // only a bad pattern is an error
	slices.Sort(paths)
	slices.Reverse(paths)
	return paths
}

func prune(pattern string, log *slog.Logger) {
	paths := newest(pattern)
	for _, path := range paths[min(keepCopies, len(paths)):] {
		if err := os.Remove(path); err != nil {
			log.Warn("cannot remove an old copy of the Open vSwitch database", "err", err)
		}
	}
}

// copyFile is durable: what it replaces may be gone after a power cut.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return whole.Copy(to, in, 0o640, nil)
}
