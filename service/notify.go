// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager how the daemon is, by sd_notify(3). A nil
// Notifier is one without a service manager: it tells nobody, and succeeds.
type Notifier struct {
	watchdog time.Duration // WatchdogSec=; 0: off
}

// NewNotifier returns nil where nobody listens (no NOTIFY_SOCKET).
func NewNotifier() (*Notifier, error) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil, nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("cannot read watchdog interval: %w", err)
	}
	return &Notifier{watchdog}, nil
}

// Ready says that the daemon serves: whoever is ordered after it may start.
func (n *Notifier) Ready() error { return n.send(daemon.SdNotifyReady) }

// Stopping says that the daemon is about to end.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// Status sets the line that `systemctl status` shows.
func (n *Notifier) Status(text string) error {
	return n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watchdog feeds the watchdog three times per interval while healthy holds,
// until ctx ends. When healthy does not return, the watchdog starves and the
// service manager restarts the daemon, as it should. It returns at once when
// there is no watchdog.
func (n *Notifier) Watchdog(ctx context.Context, healthy func() bool) error {
	if n == nil || n.watchdog == 0 {
		return nil
	}
	t := time.NewTicker(n.watchdog / 3)
	defer t.Stop()
	return n.feed(ctx, t.C, healthy)
}

func (n *Notifier) feed(ctx context.Context, ticks <-chan time.Time, healthy func() bool) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			if !healthy() {
				continue
			}
			if err := n.send(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
	}
}

func (n *Notifier) send(state string) error {
	if n == nil {
		return nil
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("cannot notify service manager: %w", err)
	}
	return nil
}
