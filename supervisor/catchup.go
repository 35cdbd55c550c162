// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"slices"
	"strings"
	"time"
)

// catchUp is handOver for an ovs-vswitchd that was started while the database's disk
// was full: it does not wait for its flows, and cur_cfg may speak of another. That it
// has set a bridge up is known by the bridge's answer.
func (v *vswitchd) catchUp(ctx context.Context, p process) error {
	lock, err := v.lockRestore(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if !v.flows.unarmed() {
		return errSettling
	}
	left, err := v.flows.bridges(ctx)
	if err != nil {
		return err
	}
	within, cancel := context.WithDeadline(ctx, v.restoreBy)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		left = slices.DeleteFunc(left, func(b bridge) bool { return v.caughtUp(within, b) })
		if len(left) == 0 {
			return v.flows.finished()
		}
		select {
		case <-p.Done():
			return p.Err()
		case <-tick.C:
		case <-within.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.log.Error("gave up restoring flows: controllers must program the bridges anew",
				"within", v.cfg.RestoreWithin, "left", names(left))
			return v.flows.finished()
		}
	}
}

func names(bridges []bridge) (list []string) {
	for _, b := range bridges {
		list = append(list, b.name)
	}
	return list
}

// caughtUp is true of a bridge that answers, and restores its flows first. Where a
// controller was there before us, what it says goes.
func (v *vswitchd) caughtUp(ctx context.Context, b bridge) bool {
	dump, err := v.flows.ofctl(ctx, b, "", "dump-flows", "--no-stats")
	if err != nil {
		return false
	}
	if s, ok := v.flows.saved(b); ok && untouched(dump) {
		v.restoreOne(ctx, s)
	}
	return true
}

// untouched is true of flows that a bridge has by itself, by its fail_mode.
func untouched(dump string) bool {
	for _, flow := range matching(dump, "actions=", "") {
		if !strings.HasSuffix(flow, "priority=0 actions=NORMAL") {
			return false
		}
	}
	return true
}
