// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Names are the daemons that [Exec] and [AwaitReady] take, in the order in which
// they start.
var Names = []string{ovsdbServer, ovsVswitchd}

// controlled is a daemon of Open vSwitch's, and how it is started.
type controlled interface {
	daemon
	command(ctx context.Context) (argv []string, err error)
}

func newDaemon(cfg Config, name string, log *slog.Logger) controlled {
	if name == ovsdbServer {
		return newOVSDB(cfg, log)
	}
	return newVswitchd(cfg, log)
}

// Exec prepares the start of a daemon as a Supervisor does, and then becomes it.
// It returns only an error.
func Exec(ctx context.Context, cfg Config, name string, log *slog.Logger) error {
	argv, c, err := prepare(ctx, cfg, name, log)
	if err == nil {
		err = unix.Exec(argv[0], argv, append(c.env(), c.mark(name)))
	}
	return fmt.Errorf("cannot run %s: %w", name, err)
}

func prepare(ctx context.Context, cfg Config, name string, log *slog.Logger) ([]string, Config, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, c, err
	}
	if c.Mode == Attach {
		return nil, c, errors.New("ovs.mode is attach: Open vSwitch is somebody else's to run")
	}
	d := newDaemon(c, name, log)
	if err := d.Prepare(ctx); err != nil {
		return nil, c, err
	}
	argv, err := d.command(ctx)
	return argv, c, err
}

// AwaitReady returns when the daemon serves. What makes it ready is done here
// too: ovsdb-server's settings, and the flows of ovs-vswitchd. A pid that is not
// 0 is the daemon's (systemd's $MAINPID): its end is an error, not waited past.
func AwaitReady(ctx context.Context, cfg Config, name string, pid int, log *slog.Logger) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	d := newDaemon(c, name, log)
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	var p process
	for {
		var err error
		if p == nil {
			p, err = d.Adopt(ctx)
		}
		if p != nil {
			if err = d.Ready(ctx, p); err == nil {
				p.Release()
				return nil
			}
			if errors.Is(err, errAbandoned) { // asked to end, it would hang
				return errors.Join(fmt.Errorf("%s does not serve: %w", name, err), p.Tell(ctx, sigKill))
			}
		}
		if pid != 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return fmt.Errorf("%s (pid %d) has ended before it was ready", name, pid)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, cmp.Or(err, errors.New("it does not run")))
		case <-tick.C:
		}
	}
}

// SaveFlows saves the flows of every bridge, for the next start of
// ovs-vswitchd. When that does not run, those saved while it did are the last.
func SaveFlows(ctx context.Context, cfg Config, log *slog.Logger) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if pid, _, err := c.owner(ctx, ovsVswitchd); pid == 0 || err != nil {
		return err
	}
	return newVswitchd(c, log).flows.save(ctx)
}

// Restart restarts both daemons of a managed Open vSwitch, on the binaries now
// installed, with the flows they have: ovsdb-server first, so that ovs-vswitchd
// forwards while the database loads.
func Restart(ctx context.Context, cfg Config, log *slog.Logger) error {
	c, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	for _, name := range Names {
		pid, ours, err := c.owner(ctx, name)
		switch {
		case err != nil:
			return err
		case pid == 0:
			return fmt.Errorf("cannot restart %s: it does not run; dovesnap starts it: dovesnap service start", name)
		case !ours:
			return fmt.Errorf("cannot restart %s: pid %d %w; restart its own service", name, pid, ErrForeign)
		}
		if err := c.restart(ctx, name, pid, log); err != nil {
			return fmt.Errorf("cannot restart %s: %w", name, err)
		}
	}
	return nil
}

func (c Config) restart(ctx context.Context, name string, old int, log *slog.Logger) error {
	if name == ovsVswitchd {
		if err := newVswitchd(c, log).flows.save(ctx); err != nil {
			return err
		}
	}
	if unit := unitOf(name, old); unit != "" {
		if err := systemctl(ctx, c.StartTimeout, "restart", unit); err != nil {
			return fmt.Errorf("%w; it said: %s", err, lastJournal(ctx, unit))
		}
	} else {
		if unlock, err := c.lock(); err == nil {
			unlock()
			return errors.New("no dovesnap runs that would start it again: dovesnap service start")
		}
		if err := c.stopMarked(ctx, name, old); err != nil {
			return err
		}
	}
	if err := c.awaitAnother(ctx, name, old); err != nil {
		return err
	}
	if err := AwaitReady(ctx, c, name, 0, log); err != nil {
		return err
	}
	pid, _, err := c.owner(ctx, name)
	if err != nil {
		return err
	}
	version, err := c.version(ctx, name, pid)
	if err == nil {
		log.Info("restarted", "child", name, "pid", strconv.Itoa(old)+" -> "+strconv.Itoa(pid), "version", lastField(version))
	}
	return err
}

// awaitAnother waits until another process than old is the daemon.
func (c Config) awaitAnother(ctx context.Context, name string, old int) error {
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		pid, _, err := c.owner(ctx, name)
		if err != nil || pid > 0 && pid != old {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not started again: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// MainPID is $MAINPID, which systemd gives to what it runs beside a daemon; 0
// without it.
func MainPID() int {
	pid, _ := strconv.Atoi(os.Getenv("MAINPID"))
	return pid
}
