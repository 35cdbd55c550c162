// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// units are the daemons' units of systemd's; see the folder systemd.
var units = map[string]string{
	ovsdbServer: "dovesnap-ovsdb.service",
	ovsVswitchd: "dovesnap-vswitchd.service",
}

// unit is a daemon that systemd starts, in a control group and a sandbox of its
// own, and starts again while no dovesnap runs. What precedes its start, and what
// makes it ready, are the unit's (Exec, AwaitReady).
type unit struct {
	daemon
	cfg  Config
	name string
}

func (u unit) Prepare(context.Context) error { return nil }

// Launch returns when the unit is started, which is when the daemon is ready.
func (u unit) Launch(ctx context.Context) (process, error) {
	verb := "start"
	if waits(ctx, units[u.name]) {
		verb = "restart"
	}
	if err := systemctl(ctx, u.cfg.StartTimeout, verb, units[u.name]); err != nil {
		return nil, fmt.Errorf("%w; it said: %s", err, lastJournal(ctx, units[u.name]))
	}
	p, err := u.daemon.Adopt(ctx)
	if p != nil || err != nil {
		return p, err
	}
	// It runs, but somebody emptied the run directory: nobody can reach it.
	if err := systemctl(ctx, u.cfg.StartTimeout, "restart", units[u.name]); err != nil {
		return nil, err
	}
	if p, err = u.daemon.Adopt(ctx); p == nil && err == nil {
		err = fmt.Errorf("%s was started, and has ended", units[u.name])
	}
	return p, err
}

// waits is true of a unit whose end was noticed by systemd too, which lets
// RestartSec= pass first. A start would wait for that, a restart does not.
func waits(ctx context.Context, unit string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=SubState", "--value", unit).Output()
	return err == nil && strings.HasPrefix(string(out), "auto-restart")
}

// systemctl runs one command on one unit; its error is systemctl's own line.
func systemctl(ctx context.Context, within time.Duration, verb, unit string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", verb, unit).CombinedOutput()
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("systemctl %s %s: %w: %s", verb, unit, err, first)
	}
	return nil
}

// lastJournal is the last line that a unit wrote, for the error that its failure
// becomes.
func lastJournal(ctx context.Context, unit string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// _SYSTEMD_UNIT is the unit's own output, without systemd's words about it.
	out, err := exec.CommandContext(ctx, "journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=1", "_SYSTEMD_UNIT="+unit).Output()
	if line := strings.TrimSpace(string(out)); err == nil && line != "" {
		return line
	}
	return "see journalctl -u " + unit
}
