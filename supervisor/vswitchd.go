// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/vishvananda/netlink"
)

// ovs-vswitchd.conf.db(5), Open_vSwitch other_config.
const (
	restoreWait  = "flow-restore-wait"
	userspaceTSO = "userspace-tso-enable"
)

// settingMark is the key of Open_vSwitch external_ids that names the setting in
// other_config that was absent before dovesnap.
const settingMark = "dovesnap-set"

// vswitchd drives ovs-vswitchd. Its flows are saved and restored here, in the
// one goroutine that also starts it: a snapshot of a switch that has not got its
// flows back can so never replace a good one.
type vswitchd struct {
	cfg   Config
	log   *slog.Logger
	flows *flowStore

	restoreBy time.Time // flow-restore-wait is cleared by then in any case
	saved     time.Time // last snapshot
	trailing  lag
	portless  bool // no bridge's own port was up since the last one was started
	switching bool // the kernel's datapath was there, and ports up
}

func newVswitchd(cfg Config, log *slog.Logger) *vswitchd {
	log = log.With("child", ovsVswitchd)
	return &vswitchd{cfg: cfg, log: log, flows: &flowStore{cfg: cfg, log: log}}
}

// Adopt allows a restore that the dovesnap before us began to be finished. One that
// runs may have lost its datapath while nobody looked; the one that is started when
// none runs cannot.
func (v *vswitchd) Adopt(ctx context.Context) (process, error) {
	v.trailing, v.switching, v.saved = lag{}, false, time.Now()
	v.restoreBy = time.Now().Add(v.cfg.RestoreWithin)
	p, err := adopted(v.cfg.adopt(ctx, ovsVswitchd))
	v.portless = v.portless || p == nil && err == nil
	return p, err
}

func (v *vswitchd) Prepare(ctx context.Context) error {
	if err := v.cfg.clean(ctx, ovsVswitchd, v.log); err != nil {
		return err
	}
	if others := v.cfg.strangers(); len(others) > 0 {
		return fmt.Errorf("ovs-vswitchd (pid %d) of another installation runs in this network namespace: stop it", others[0])
	}
	return v.awaitOVSDB(ctx)
}

// awaitOVSDB is not a failure however long it takes: ovsdb-server has a
// supervisor of its own.
func (v *vswitchd) awaitOVSDB(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if _, err := v.cfg.root(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (v *vswitchd) Launch(ctx context.Context) (process, error) {
	argv, err := v.command(ctx)
	if err != nil {
		return nil, err
	}
	p, err := v.cfg.launch(ovsVswitchd, argv)
	v.restoreBy = time.Now().Add(v.cfg.RestoreWithin)
	return adopted(p, err)
}

// command sets what ovs-vswitchd reads once, at its start, and returns how it is
// started. userspace-tso-enable is always on: nothing to the kernel datapath, and
// on netdev what lets the containers keep their offloads. flow-restore-wait makes
// it keep the kernel's flows, and wait for ours, but without flows to restore it
// would only wait. next_cfg is bumped so that cur_cfg will speak of this process
// and no other.
//
// Where the disk is full it is started all the same. Without flow-restore-wait the
// kernel's flows go when it starts, and traffic rests until its own are back, a
// moment later (catchUp). But without ovs-vswitchd no new flow is made for as long as
// the disk is full, and what is under way ends with the next ARP. Nor may the flag be
// the last thing that there is room for: it could not be taken back, and ovs-vswitchd
// would wait.
func (v *vswitchd) command(ctx context.Context) ([]string, error) {
	restoring, err := v.flows.begin(ctx)
	if err == nil {
		err = remove(v.cfg.pauseFile()) // was the last one's
	}
	if err != nil {
		return nil, err
	}
	now, err := v.cfg.root(ctx)
	if err != nil {
		return nil, err
	}
	settings, fits := map[string]string{userspaceTSO: "true"}, v.cfg.hasRoom()
	if restoring && fits {
		settings[restoreWait] = "true"
	}
	mutations := append([]any{drop("other_config", restoreWait), ask}, put("other_config", settings)...)
	if _, theirs := now.other[userspaceTSO]; !theirs {
		mutations = append(mutations, put("external_ids", map[string]string{settingMark: userspaceTSO})...)
	}
	if _, err = v.cfg.transact(ctx, mutateRoot(mutations...)); err != nil && !unwritable(err) {
		return nil, err
	}
	if err == nil && restoring && !fits {
		err = fmt.Errorf("its disk has less than %d KiB of room", room>>10)
	}
	if err != nil {
		v.log.Warn("cannot use the Open vSwitch database for a restart without loss; what is under way may be interrupted", "err", err)
		if err := v.flows.unarm(); err != nil {
			return nil, err
		}
	}
	return v.cfg.argv(ovsVswitchd, v.Endpoint(), "--mlockall")
}

func (v *vswitchd) Endpoint() string { return "unix:" + v.cfg.socket() }

// Ready means: it answers, has done all that the database asks, and forwards by
// the flows it had.
func (v *vswitchd) Ready(ctx context.Context, p process) error {
	if err := v.cfg.abandoned(p.PID()); err != nil {
		return err
	}
	now, err := v.cfg.root(ctx)
	if err != nil {
		return err
	}
	late := time.Now().After(v.restoreBy)
	if now.other[restoreWait] == "true" && late {
		err := v.clearRestoreWait(ctx)
		if errors.Is(err, errSettling) {
			v.log.Error("gave up restoring flows: controllers must program the bridges anew", "within", v.cfg.RestoreWithin)
		}
		return err
	}
	if _, err := v.cfg.version(ctx, ovsVswitchd, p.PID()); err != nil {
		return err
	}
	if v.flows.unarmed() && now.other[restoreWait] != "true" {
		return v.catchUp(ctx, p)
	}
	if now.current < now.next {
		stuck := v.trailing.check(now, time.Now(), v.cfg.ApplyWithin)
		if stuck == nil || !v.excused(ctx, v.cfg) {
			return fmt.Errorf("configuration %d of %d is applied", now.current, now.next)
		}
	}
	if now.other[restoreWait] == "true" {
		return v.handOver(ctx, p)
	}
	return v.flows.finished()
}

func (v *vswitchd) restore(ctx context.Context) []snapshot {
	ctx, cancel := context.WithDeadline(ctx, v.restoreBy)
	defer cancel()
	snapshots, err := v.flows.usable(ctx)
	if err != nil {
		v.log.Error("cannot restore flows: controllers must program the bridges anew", "err", err)
	}
	return slices.DeleteFunc(snapshots, func(s snapshot) bool {
		return !s.bridge.ours && !v.untouched(ctx, s.bridge) || !v.restoreOne(ctx, s)
	})
}

// untouched is false of a bridge that has got flows since ovs-vswitchd started.
// flow-restore-wait keeps controllers away, but not who speaks to the bridge's own
// socket, as OVN does, and thinks then that it has set the bridge up.
func (v *vswitchd) untouched(ctx context.Context, b bridge) bool {
	dump, err := v.flows.ofctl(ctx, b, "", "dump-flows", "--no-stats")
	return err != nil || untouched(dump) // the restore tells of the error
}

func (v *vswitchd) restoreOne(ctx context.Context, s snapshot) bool {
	if err := v.flows.restore(ctx, s); err != nil {
		v.log.Error("cannot restore all flows: controllers must program that bridge anew", "err", err)
		return false
	}
	v.log.Info("restored flows", "bridge", s.bridge.name, "flows", s.count())
	return true
}

var errSettling = errors.New("flow-restore-wait was cleared, not yet acted on")

// clearRestoreWait never says ready: Ready reads back, on its next round, that
// the flag is gone, and next_cfg that ovs-vswitchd has seen it go.
func (v *vswitchd) clearRestoreWait(ctx context.Context) error {
	if _, err := v.cfg.transact(ctx, mutateRoot(drop("other_config", restoreWait), ask)); err != nil {
		return err
	}
	return errSettling
}

// Live looks at the data, not at the process alone: a live ovs-vswitchd whose
// datapath was deleted under it never recovers.
func (v *vswitchd) Live(ctx context.Context, p process, patience time.Duration) error {
	cfg := v.cfg.within(patience)
	if err := cfg.abandoned(p.PID()); err != nil {
		return err
	}
	if _, err := cfg.version(ctx, ovsVswitchd, p.PID()); err != nil {
		return err
	}
	results, err := cfg.transact(ctx, selectRoot(), op{"op": "select", "table": "Interface",
		"where": []any{[]any{"type", "==", "internal"}}, "columns": []string{"ofport"}})
	if err != nil {
		return nil // ovsdb-server's trouble, and its own supervisor's
	}
	now, err := rootOf(results[0])
	if err != nil {
		return err
	}
	if err := v.trailing.check(now, time.Now(), cfg.ApplyWithin); err != nil && !v.excused(ctx, cfg) {
		return err
	}
	if err := v.checkPorts(results[1].Rows, kernelDatapath()); err != nil {
		return err
	}
	if time.Since(v.saved) >= v.cfg.FlowsEvery {
		v.saved = time.Now()
		if err := v.flows.save(ctx); err != nil {
			v.log.Warn("cannot save all flows", "err", err)
		}
	}
	return nil
}

// excused is true when ovs-vswitchd is not to blame that cur_cfg stands still. It
// writes it once for each change that it sees: where that met a full disk, cur_cfg
// trails until there is room and the next change. So it is asked once more. What
// cannot be written proves nothing against it, and what it answers clears it.
func (v *vswitchd) excused(ctx context.Context, cfg Config) bool {
	if time.Since(v.trailing.asked) < cfg.ApplyWithin {
		return false
	}
	if _, err := cfg.transact(ctx, mutateRoot(ask)); err != nil {
		if unwritable(err) && !v.trailing.full {
			v.trailing.full = true
			v.log.Warn("the Open vSwitch database cannot be written: nothing of the switch can be changed", "err", err)
		}
		return unwritable(err)
	}
	v.trailing.asked, v.trailing.full = time.Now(), false
	within, cancel := context.WithTimeout(ctx, cfg.ProbeTimeout)
	defer cancel()
	return v.awaitApplied(within) == nil
}

// errNoDatapath is of a switch whose datapath was deleted under it.
const errNoDatapath = hopeless("every bridge lost its OpenFlow ports: the datapath is gone")

// checkPorts sees the loss of the datapath: no bridge's own port is up any more. It
// is beyond doubt when ovs-vswitchd has found that out too (-1; empty is a port to
// come), and the kernel's datapath was there before. A port that never came up is a
// bad row, no reason to restart.
func (v *vswitchd) checkPorts(internal []ovsdb.Row, datapath bool) error {
	up, down := 0, 0
	for _, row := range internal {
		switch n := integer(row["ofport"]); {
		case n > 0:
			up++
		case n < 0:
			down++
		}
	}
	switch {
	case up > 0:
		v.portless, v.switching = false, datapath
	case len(internal) == 0:
		v.portless = true
	case v.portless:
	case down == len(internal) && v.switching && !datapath:
		return errNoDatapath
	default:
		return errors.New(string(errNoDatapath))
	}
	return nil
}

// kernelDatapath reports whether the kernel has ovs-vswitchd's datapath, or may have:
// its own port is a link of that name (ofproto-dpif.c, open_dpif_backer).
func kernelDatapath() bool {
	_, err := netlink.LinkByName("ovs-system")
	return !errors.As(err, new(netlink.LinkNotFoundError))
}

// lag judges cur_cfg: it may trail next_cfg, but not stand still behind it.
type lag struct {
	current int
	since   time.Time // seen trailing at current; zero when it does not trail
	asked   time.Time // once more
	full    bool      // that could not be written
}

func (l *lag) check(r root, now time.Time, within time.Duration) error {
	if r.current >= r.next {
		*l = lag{}
		return nil
	}
	if r.current != l.current || l.since.IsZero() {
		*l = lag{current: r.current, since: now}
	}
	if stuck := now.Sub(l.since); stuck > within {
		return fmt.Errorf("configuration %d of %d is applied, and that since %s", r.current, r.next, stuck.Round(time.Second))
	}
	return nil
}
