// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// busLimit bounds the connection to the system bus; the rest of Apply needs its time
// too.
const busLimit = 2 * time.Second

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
