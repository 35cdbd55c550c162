// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A controller that finds a switch again deletes every flow and adds them anew,
// as Faucet does; what is under way is lost meanwhile. So ovs-vswitchd's
// revalidators, which take back the kernel's flows when OpenFlow's change, are
// paused from the moment ovs-vswitchd forwards again until the controllers are
// done: then they translate each flow of the kernel's anew, in its place.
//
// "revalidator/pause" and "/resume" are ovs-vswitchd's own commands, the same from
// 2.13 to 4.0 (upcall_unixctl_pause). By their source:
//
//   - A resume of what is not paused waits for ever in ovs-vswitchd's main
//     thread, and so does a pause of what is paused. Therefore one at a time, under
//     a lock, and a pause whose owner died is not ended but ovs-vswitchd started
//     anew (see abandoned).
//   - While paused, what stops those threads waits for ever too: the removal of a
//     bridge (udpif_flush), the first bridge of another datapath, ovs-vswitchd's
//     exit. So the engine removes no bridge meanwhile (Unpaused), and the liveness
//     probe restarts an ovs-vswitchd that somebody else blocked so.
//   - New flows are still installed, and none taken back: changes of what is under
//     way wait for the end of the pause, which is why it is short.

// pauseFile exists while a pause lasts, and has the pid of the ovs-vswitchd that is
// paused.
func (c Config) pauseFile() string { return c.StateDir + "/paused" }

// pauseLock waits for the lock, whose kind is unix.LOCK_EX or LOCK_SH. It is on the
// directory: a file that comes with the first removal of a bridge would look like
// something left behind.
func (c Config) pauseLock(ctx context.Context, kind int) (*os.File, error) {
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.Open(c.StateDir)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = unix.Flock(int(dir.Fd()), kind|unix.LOCK_NB); err == nil {
			return dir, nil
		}
		select {
		case <-ctx.Done():
			dir.Close()
			return nil, fmt.Errorf("cannot wait for the end of a pause of revalidators: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Unpaused waits until ovs-vswitchd's revalidators run, and keeps them running
// until release. Whoever removes a bridge does it in between: otherwise
// ovs-vswitchd would hang.
func (s *Supervisor) Unpaused(ctx context.Context) (release func(), err error) {
	lock, err := s.cfg.pauseLock(ctx, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

const errAbandoned = hopeless("its revalidators are paused, and nobody resumes them")

// abandoned is errAbandoned for an ovs-vswitchd whose pause lost its owner.
func (c Config) abandoned(pid int) error {
	if !c.markedPaused(pid) {
		return nil
	}
	dir, err := os.Open(c.StateDir)
	if err != nil {
		return nil
	}
	defer dir.Close()
	if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && c.markedPaused(pid) {
		return errAbandoned
	}
	return nil
}

func (c Config) markedPaused(pid int) bool {
	text, err := os.ReadFile(c.pauseFile())
	return err == nil && string(text) == strconv.Itoa(pid)
}

// lockRestore keeps the unit's command and an adopting daemon from restoring flows at
// the same time.
func (v *vswitchd) lockRestore(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.ProbeTimeout)
	defer cancel()
	return v.cfg.pauseLock(ctx, unix.LOCK_EX)
}

// handOver restores flows, ends flow-restore-wait, and keeps traffic going while the
// controllers of the restored bridges set these up anew.
func (v *vswitchd) handOver(ctx context.Context, p process) error {
	lock, err := v.lockRestore(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := v.cfg.root(ctx)
	if err != nil {
		return err
	}
	if now.other[restoreWait] != "true" {
		return errSettling
	}
	restored := v.restore(ctx)
	// All that takes time comes first: a controller may be quick.
	waiting, err := v.flows.controlled(ctx, restored)
	cleared := time.Now()
	settling := v.clearRestoreWait(ctx)
	if !errors.Is(settling, errSettling) || err == nil && len(waiting) == 0 {
		return settling
	}
	if err == nil {
		err = v.pause(ctx, p)
	}
	switch {
	case errors.Is(err, errAbandoned):
		return err
	case err != nil:
		v.log.Warn("traffic may be interrupted while controllers set up their bridges", "err", err)
		return settling
	}
	v.log.Debug("paused the revalidators", "pid", p.PID())
	left := v.flows.awaitSetUp(ctx, p, waiting, cleared)
	if err := v.resume(ctx, p); err != nil {
		return err
	}
	v.log.Info("controllers had time to set up their bridges", "took", time.Since(cleared).Round(time.Millisecond), "left", left)
	return settling
}

// pause returns when the revalidators are paused. They exist when ovs-vswitchd
// has seen flow-restore-wait go, which cur_cfg tells; before that, the command
// does nothing, and the resume would wait for ever.
func (v *vswitchd) pause(ctx context.Context, p process) error {
	if err := v.awaitApplied(ctx); err != nil {
		return fmt.Errorf("cannot pause revalidators: %w", err)
	}
	if err := os.WriteFile(v.cfg.pauseFile(), []byte(strconv.Itoa(p.PID())), 0o600); err != nil {
		return fmt.Errorf("cannot pause revalidators: %w", err)
	}
	err := v.revalidators(ctx, p, "pause")
	if err != nil && !errors.Is(err, errAbandoned) { // before Open vSwitch 2.13
		err = errors.Join(err, remove(v.cfg.pauseFile()))
	}
	return err
}

func (v *vswitchd) resume(ctx context.Context, p process) error {
	if err := v.revalidators(ctx, p, "resume"); err != nil {
		return err // the mark stays
	}
	return remove(v.cfg.pauseFile())
}

// revalidators gives a command, also when ctx has ended. Without an answer nobody
// knows whether it was carried out.
func (v *vswitchd) revalidators(ctx context.Context, p process, command string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*v.cfg.ProbeTimeout)
	defer cancel()
	_, err := call(ctx, v.cfg.ctl(ovsVswitchd, p.PID()), "revalidator/"+command)
	var no *refusal
	if err != nil && !errors.As(err, &no) {
		err = fmt.Errorf("%w: %w", errAbandoned, err)
	}
	return err
}

// awaitApplied waits until ovs-vswitchd has done all that the database asks.
func (v *vswitchd) awaitApplied(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.ApplyWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := v.cfg.root(ctx); err == nil && now.current >= now.next {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the end of %s is not acted on: %w", restoreWait, ctx.Err())
		case <-tick.C:
		}
	}
}
