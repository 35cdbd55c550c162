// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"dovesnap/spec"

	"github.com/godbus/dbus/v5"
)

// zone keeps our bridges in a zone of firewalld's that accepts, where firewalld
// runs. Its own tables would refuse what ours accept: what is forwarded from or to
// an interface in no zone. Docker does the same for its bridges. The zone and the
// policy stay, empty, until Cleanup; that a bridge is in it ends with firewalld's
// next reload, which rings.
type zone struct {
	log  *slog.Logger
	conn *dbus.Conn  // nil: no system bus, or nothing to ask it yet
	rang atomic.Bool // firewalld was started, stopped or reloaded since apply, or that failed

	elsewhere map[string]string // bridges in another zone, and what was logged of it
}

func newZone(log *slog.Logger) *zone { return &zone{log: log} }

func (z *zone) close() {
	if z.conn != nil {
		_ = z.conn.Close()
		z.conn = nil
	}
}

// stale reports whether firewalld may have forgotten our bridges.
func (z *zone) stale() bool { return z.rang.Load() || z.conn != nil && !z.conn.Connected() }

// apply puts the bridges of the networks that the host is the gateway of into the
// zone, and takes others out.
func (z *zone) apply(ctx context.Context, nets []spec.Network) error {
	var bridges []string
	for _, n := range nets {
		if n.Routed() {
			bridges = append(bridges, n.Bridge)
		}
	}
	if rang := z.rang.Swap(false); !rang && z.conn == nil && len(bridges) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, zoneLimit)
	defer cancel()
	if !z.connect(ctx) {
		return nil
	}
	if err := z.bind(firewallD{ctx, z.conn}, bridges); err != nil {
		z.rang.Store(true)
		if ctx.Err() != nil {
			z.close() // what nobody reads would fill it, and writing to it wait for ever
		}
		return fmt.Errorf("cannot put bridges into firewalld's zone %q: %w", zoneName, err)
	}
	return nil
}

func (z *zone) bind(f firewallD, bridges []string) error {
	if !f.runs() {
		return f.ctx.Err()
	}
	elsewhere, err := f.bind(bridges, z.log)
	if err != nil {
		return err
	}
	for _, b := range bridges {
		if why := elsewhere[b]; why != "" && why != z.elsewhere[b] { // once, not in every pass
			z.log.Warn("firewalld has the bridge in another zone, which decides what may pass", "bridge", b, "err", why)
		}
	}
	z.elsewhere = elsewhere
	return nil
}

// removeZone removes zone and policy, where firewalld runs.
func removeZone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, zoneLimit)
	defer cancel()
	conn, err := systemBus(ctx)
	switch {
	case err == nil:
		defer conn.Close()
		err = firewallD{ctx, conn}.undefine()
	case ctx.Err() == nil:
		return nil // no bus, and so no firewalld
	}
	if err != nil {
		return fmt.Errorf("cannot remove zone %q from firewalld: %w", zoneName, err)
	}
	return nil
}
