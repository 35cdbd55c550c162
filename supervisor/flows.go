// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"

	"dovesnap/whole"
)

// bridgeMark is the key of Bridge external_ids that says a bridge is dovesnap's.
const bridgeMark = "dovesnap-network"

// openflow lists what can bundle (1.3 by extension EXT-230): Faucet's 1.3, and 1.4
// where a bridge allows it. A bridge of somebody else's that speaks neither is left out.
const openflow = "OpenFlow13,OpenFlow14"

// flowStore keeps, per bridge, one file that `ovs-ofctl bundle` replays: what
// the bridge forwarded by, at most FlowsEvery before ovs-vswitchd died.
type flowStore struct {
	cfg  Config
	log  *slog.Logger
	said map[string]bool // bridges of others that cannot be saved, of which the log knows
}

// bridge is what must be the same for flows to be restored to it.
type bridge struct {
	name, datapathID, failMode string
	ours                       bool
}

// identity heads a file. A change of datapath-id is another switch; of
// fail_mode, another promise: flows of a learning switch must not open one that
// is secure by now.
func (b bridge) identity() string {
	return fmt.Sprintf("# dovesnap flows of bridge=%s datapath-id=%s fail-mode=%s", b.name, b.datapathID, b.failMode)
}

type snapshot struct {
	bridge bridge
	text   string
}

func (s snapshot) count() int { return strings.Count(s.text, "\nflow add ") }

// bridges lists those of ours and of others: it is their switch too that is started
// anew. A datapath-id that nobody set comes and goes with ports; there the row tells the
// bridge from another of its name.
func (f *flowStore) bridges(ctx context.Context) ([]bridge, error) {
	results, err := f.cfg.transact(ctx, op{"op": "select", "table": "Bridge", "where": []any{},
		"columns": []string{"_uuid", "name", "fail_mode", "other_config", "external_ids"}})
	if err != nil {
		return nil, err
	}
	var list []bridge
	for _, row := range results[0].Rows {
		b := bridge{name: text(row["name"]), datapathID: stringMap(row["other_config"])["datapath-id"], failMode: text(row["fail_mode"])}
		if id, ok := row["_uuid"].(ovsdb.UUID); ok && b.datapathID == "" {
			b.datapathID = id.GoUUID
		}
		_, b.ours = stringMap(row["external_ids"])[bridgeMark]
		if isFileName(b.name) {
			list = append(list, b)
		}
	}
	return list, nil
}

// isFileName is false of names that OVSDB takes, and neither a directory nor, in the
// end, ovs-vswitchd.
func isFileName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\n")
}

func (f *flowStore) file(b bridge) string { return filepath.Join(f.cfg.flowsDir(), b.name) }

// save writes a snapshot of every bridge and deletes those of bridges that are gone.
// A switch that has not got its flows back is not asked: its snapshot would replace
// the one it is being restored from.
func (f *flowStore) save(ctx context.Context) error {
	now, err := f.cfg.root(ctx)
	if err != nil || now.other[restoreWait] == "true" || f.unarmed() {
		return err
	}
	bridges, err := f.bridges(ctx)
	if err != nil {
		return err
	}
	if len(bridges) == 0 {
		return os.RemoveAll(f.cfg.flowsDir())
	}
	if err := os.MkdirAll(f.cfg.flowsDir(), 0o700); err != nil {
		return err
	}
	var errs []error
	for _, b := range bridges {
		errs = append(errs, f.judge(b, f.saveOne(ctx, b)))
	}
	entries, err := os.ReadDir(f.cfg.flowsDir())
	errs = append(errs, err)
	for _, e := range entries {
		if !slices.ContainsFunc(bridges, func(b bridge) bool { return b.name == e.Name() }) {
			errs = append(errs, os.Remove(filepath.Join(f.cfg.flowsDir(), e.Name())))
		}
	}
	return errors.Join(errs...)
}

// judge keeps a bridge of somebody else's that cannot be saved, and may never be, from
// failing the others.
func (f *flowStore) judge(b bridge, err error) error {
	if b.ours {
		return err
	}
	if err != nil && !f.said[b.name] {
		f.log.Warn("a bridge that is not dovesnap's would lose its flows with ovs-vswitchd", "bridge", b.name, "err", err)
	}
	if f.said == nil {
		f.said = map[string]bool{}
	}
	f.said[b.name] = err != nil
	return nil
}

func (f *flowStore) saveOne(ctx context.Context, b bridge) error {
	text, err := f.dump(ctx, b)
	if err != nil {
		return fmt.Errorf("cannot save flows of bridge %q: %w", b.name, err)
	}
	if have, err := os.ReadFile(f.file(b)); err != nil || string(have) != text {
		if err := whole.Write(f.file(b), []byte(text), 0o600, nil); err != nil {
			return err
		}
	}
	return known(f.file(b))
}

// known notes in a snapshot's time that it is true now: by the clock that counts
// from the host's boot, which nobody sets.
func known(file string) error {
	now := time.Unix(0, int64(sinceBoot()))
	return os.Chtimes(file, now, now)
}

// age is how long ago a snapshot with this time was known to be true.
func age(at time.Time) time.Duration {
	if age := sinceBoot() - time.Duration(at.UnixNano()); age >= 0 {
		return age
	}
	return time.Since(at) // from before known, or before this boot
}

func sinceBoot() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // Linux has it
	return time.Duration(t.Nano())
}

// usable lists the snapshots that still describe a bridge of the database, are
// fresh, and hold any flow at all.
func (f *flowStore) usable(ctx context.Context) ([]snapshot, error) {
	bridges, err := f.bridges(ctx)
	if err != nil {
		return nil, err
	}
	var list []snapshot
	for _, b := range bridges {
		if s, ok := f.saved(b); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

func (f *flowStore) saved(b bridge) (s snapshot, ok bool) {
	st, err := os.Stat(f.file(b))
	if err != nil {
		return s, false // never saved
	}
	content, err := os.ReadFile(f.file(b))
	s = snapshot{b, string(content)}
	age := age(st.ModTime())
	switch head, _, _ := strings.Cut(s.text, "\n"); {
	case err != nil:
		f.log.Warn("cannot read saved flows", "bridge", b.name, "err", err)
	case head != b.identity():
		f.log.Warn("saved flows are of another switch; ignored", "bridge", b.name)
	case age > f.cfg.FlowsMaxAge:
		f.log.Warn("saved flows are too old to be trusted; ignored", "bridge", b.name, "age", age.Round(time.Second))
	default:
		return s, s.count() > 0
	}
	return s, false
}

// restoreTries is how often a restore is begun for one that ends: a switch that
// dies of its flows must once be started without them.
const restoreTries = 3

// begin says whether there are flows to restore, and counts the try.
func (f *flowStore) begin(ctx context.Context) (bool, error) {
	if err := whole.Sweep(f.cfg.triesFile()); err != nil {
		f.log.Warn("what an earlier dovesnap did not finish is left", "err", err)
	}
	list, err := f.usable(ctx)
	if err != nil {
		return false, err
	}
	if len(list) == 0 {
		return false, f.finished()
	}
	tries := strings.Count(f.tries(), aTry)
	if tries >= restoreTries {
		f.log.Warn("it did not get ready while its flows were restored; starting it without them", "tries", tries)
		f.discard()
		return false, f.finished()
	}
	return true, f.setTries(strings.Repeat(aTry, tries+1))
}

// What the file of tries has: one of the first for each, and the second when the
// present ovs-vswitchd was started without flow-restore-wait.
const (
	aTry      = "x"
	isUnarmed = "u"
)

func (f *flowStore) tries() string {
	text, _ := os.ReadFile(f.cfg.triesFile()) // none: the first
	return string(text)
}

func (f *flowStore) setTries(text string) error {
	return whole.Write(f.cfg.triesFile(), []byte(text), 0o600, nil)
}

// unarm notes, until a restore has finished, that ovs-vswitchd does not wait for it.
func (f *flowStore) unarm() error { return f.setTries(f.tries() + isUnarmed) }

func (f *flowStore) unarmed() bool { return strings.Contains(f.tries(), isUnarmed) }

// finished ends the series of tries.
func (f *flowStore) finished() error { return remove(f.cfg.triesFile()) }

func (f *flowStore) discard() {
	if err := os.RemoveAll(f.cfg.flowsDir()); err != nil {
		f.log.Warn("cannot discard saved flows", "err", err)
	}
}

func (f *flowStore) ofctl(ctx context.Context, b bridge, stdin, command string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*f.cfg.ProbeTimeout)
	defer cancel()
	target := "unix:" + f.cfg.RunDir + "/" + b.name + ".mgmt" // its own service socket: needs no lookup
	return f.cfg.run(ctx, stdin, "ovs-ofctl",
		append([]string{command, "-O", openflow, "--no-names", target}, args...)...)
}

// dump is one bundle that makes a switch what this one is: everything deleted,
// then groups, then flows. A bundle cannot carry meters, so these are comments
// to it and read by restore.
func (f *flowStore) dump(ctx context.Context, b bridge) (string, error) {
	// A datapath without meters has none to lose; if it was ovs-vswitchd that
	// died, the next dump fails as well.
	meters, _ := f.ofctl(ctx, b, "", "dump-meters")
	flows, err := f.ofctl(ctx, b, "", "dump-flows", "--no-stats")
	if err != nil {
		return "", err
	}
	groups, err := f.ofctl(ctx, b, "", "dump-groups")
	if err != nil {
		return "", err
	}
	lines := []string{b.identity()}
	for _, m := range meterLines(meters) {
		lines = append(lines, meterMark+m)
	}
	lines = append(lines, "flow delete", "group delete")
	lines = append(lines, matching(groups, "group_id=", "group add ")...)
	sorted := matching(flows, "actions=", "flow add ") // sorted: the switch's order changes by itself
	slices.Sort(sorted)
	return strings.Join(append(lines, sorted...), "\n") + "\n", nil
}

const meterMark = "# meter "

func matching(dump, sign, prefix string) (lines []string) {
	for _, line := range strings.Split(dump, "\n") {
		if strings.Contains(line, sign) {
			lines = append(lines, prefix+strings.TrimSpace(line))
		}
	}
	return lines
}

// meterLines joins a meter with its bands, which the dump has on lines of their
// own, to the form that add-meter reads.
func meterLines(dump string) (meters []string) {
	for _, line := range strings.Split(dump, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "meter="):
			meters = append(meters, line)
		case strings.HasPrefix(line, "type=") && len(meters) > 0:
			meters[len(meters)-1] += " " + line
		}
	}
	return meters
}

// restore replays a snapshot, atomically but for its meters.
func (f *flowStore) restore(ctx context.Context, s snapshot) error {
	meters := matching(s.text, meterMark, "")
	if len(meters) > 0 {
		if _, err := f.ofctl(ctx, s.bridge, "", "del-meters"); err != nil {
			return fmt.Errorf("cannot restore flows of bridge %q: %w", s.bridge.name, err)
		}
	}
	for _, m := range meters {
		if _, err := f.ofctl(ctx, s.bridge, "", "add-meter", strings.TrimPrefix(m, meterMark)); err != nil {
			return fmt.Errorf("cannot restore flows of bridge %q: %w", s.bridge.name, err)
		}
	}
	if _, err := f.ofctl(ctx, s.bridge, s.text, "bundle", "-"); err != nil {
		return fmt.Errorf("cannot restore flows of bridge %q: %w", s.bridge.name, err)
	}
	return nil
}
