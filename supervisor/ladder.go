// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"time"
)

// rung is one way to make a daemon end.
type rung int

const (
	askExit rung = iota // unixctl "exit": keeps the datapath and its flows
	sigTerm
	sigKill
)

// ladder is ovs-ctl's stop_daemon: the patience of its steps, summed, since a
// pidfd needs no polling.
var ladder = []struct {
	rung
	patience time.Duration
}{
	{askExit, 2 * time.Second},
	{sigTerm, 5 * time.Second},
	{sigKill, 60 * time.Second}, // a process in an uninterruptible sleep ends when its I/O does
}

// stop returns nil once p is gone.
func stop(ctx context.Context, c clock, p process) error {
	deaf := false
	for _, step := range ladder {
		patience := step.patience
		if p.Tell(ctx, step.rung) != nil && step.rung == askExit {
			deaf = true
			continue
		}
		if deaf && step.rung == sigTerm {
			patience = time.Second // its handler runs on the main loop that is stuck
		}
		select {
		case <-p.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-c.After(patience):
		}
	}
	return fmt.Errorf("cannot stop pid %d: it is still there after SIGKILL", p.PID())
}
