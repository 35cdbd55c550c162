// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
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
	rang atomic.Bool // firewalld was started, stopped or reloaded since apply

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
	z.rang.Store(false)
	if z.conn == nil && len(bridges) == 0 {
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

// connect connects to the system bus and listens; false without one.
func (z *zone) connect(ctx context.Context) bool {
	if z.conn != nil && z.conn.Connected() {
		return true
	}
	z.close()
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	conn, err := systemBus(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil: // there may be a firewalld; the next Apply asks again
		z.log.Warn("cannot look for firewalld", "err", err)
		return false
	default:
		z.log.Debug("no system bus, and so no firewalld", "err", err)
		return false
	}
	signals := make(chan *dbus.Signal, 8)
	conn.Signal(signals)
	go func() { // ends with the connection
		for s := range signals { // the bus also says which name it gave us
			if s.Name == firewalld+".Reloaded" || s.Name == "org.freedesktop.DBus.NameOwnerChanged" {
				z.rang.Store(true)
			}
		}
	}()
	err = errors.Join(
		conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(firewalld), dbus.WithMatchMember("Reloaded")),
		conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, firewalld)))
	if err != nil {
		z.log.Debug("cannot listen to firewalld", "err", err)
		_ = conn.Close()
		return false
	}
	z.conn = conn
	return true
}

// systemBus connects to the system bus within ctx. The library's context is the
// connection's, and bounds by ending it. (A local socket refuses at once when nobody
// accepts, connect(2): EAGAIN; what can hang is the conversation.)
func systemBus(ctx context.Context) (*dbus.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	inTime := context.AfterFunc(ctx, end)
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(life))
	if !inTime() {
		end()
		err = fmt.Errorf("cannot talk to the system bus: %w", ctx.Err())
	}
	return conn, err
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
