// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// ErrForeign says that somebody else runs Open vSwitch.
var ErrForeign = errors.New("was not started by dovesnap")

// Down stops the Open vSwitch that dovesnap started, ovs-vswitchd first, and
// removes its pidfiles, sockets and what StateDir holds; the database stays. It
// refuses while a Run supervises, and for an Open vSwitch of somebody else.
// Where none runs there is nothing to do.
//
// ovs-vswitchd leaves the kernel datapath of bridges that still exist, as it
// does on every plain exit; delete the bridges first to leave nothing.
func Down(ctx context.Context, cfg Config, log *slog.Logger) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	unlock, err := cfg.lock()
	if err != nil {
		return err
	}
	defer unlock()
	foreign, err := cfg.foreign(ctx)
	if err != nil {
		return err
	}
	if foreign != "" {
		return fmt.Errorf("cannot stop Open vSwitch: %s %w", foreign, ErrForeign)
	}
	for _, name := range []string{ovsVswitchd, ovsdbServer} {
		for _, pid := range cfg.marked(name) {
			// systemd would start it again.
			if unit := unitOf(name, pid); unit != "" {
				err = systemctl(ctx, cfg.StartTimeout, "stop", unit)
			} else {
				err = cfg.stopMarked(ctx, name, pid)
			}
			if err != nil {
				return fmt.Errorf("cannot stop %s: %w", name, err)
			}
			log.Info("stopped", "child", name, "pid", pid)
		}
	}
	return cfg.removeRuntime()
}

// removeRuntime deletes what dead daemons of ours leave behind. Saved flows go
// too: after a pause of unknown length they may allow what is denied by then.
func (c Config) removeRuntime() error {
	errs := []error{c.sweepSockets("*.ctl", "*.mgmt", "*.snoop", "db.sock"), os.RemoveAll(c.flowsDir())}
	for _, name := range []string{ovsVswitchd, ovsdbServer} {
		owner, err := lockOwner(c.pidFile(name))
		if errs = append(errs, err); owner == 0 && err == nil {
			errs = append(errs, remove(c.pidFile(name)))
		}
		errs = append(errs, remove(c.logFile(name)))
	}
	errs = append(errs, c.sweep(), remove(c.triesFile()), remove(c.lockFile()), remove(c.pauseFile()))
	_, _ = os.Remove(c.StateDir), os.Remove(c.RunDir) // fails where others keep something there
	return errors.Join(errs...)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
