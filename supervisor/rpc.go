// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// call makes one JSON-RPC 1.0 request on a unix socket: both the protocol of
// OVSDB (RFC 7047) and that of Open vSwitch's control sockets (ovs-appctl).
// A connection per call keeps the probe honest: it tests accepting too. The
// context must have a deadline, since the kernel accepts for a stopped daemon.
func call(ctx context.Context, socket, method string, params ...any) (json.RawMessage, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	if params == nil {
		params = []any{}
	}
	var reply struct {
		Result json.RawMessage
		Error  any
	}
	err = json.NewEncoder(conn).Encode(map[string]any{"id": 0, "method": method, "params": params})
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	switch {
	case err != nil && ctx.Err() != nil: // the connection is closed because of it
		return nil, fmt.Errorf("%s %s: no answer: %w", socket, method, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", socket, method, err)
	case reply.Error != nil:
		return nil, fmt.Errorf("%s %s: %w", socket, method, &refusal{reply.Error})
	}
	return reply.Result, nil
}

// refusal is an answer that says no: nothing was done.
type refusal struct{ said any }

func (r *refusal) Error() string { return fmt.Sprint(r.said) }

// within waits that long for each answer, and for the configuration to be applied
// if that is longer.
func (c Config) within(patience time.Duration) Config {
	c.ProbeTimeout, c.ApplyWithin = patience, max(c.ApplyWithin, patience)
	return c
}

// answers is nil when an OVSDB server with the Open_vSwitch database listens.
func (c Config) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout)
	defer cancel()
	raw, err := call(ctx, c.socket(), "list_dbs")
	if err != nil {
		return err
	}
	var dbs []string
	if err := json.Unmarshal(raw, &dbs); err != nil {
		return fmt.Errorf("%s list_dbs: %w", c.socket(), err)
	}
	for _, db := range dbs {
		if db == "Open_vSwitch" {
			return nil
		}
	}
	return errors.New(c.socket() + " serves no Open_vSwitch database")
}

// version asks a daemon for its version, the cheapest question on its main loop.
func (c Config) version(ctx context.Context, name string, pid int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ProbeTimeout)
	defer cancel()
	raw, err := call(ctx, c.ctl(name, pid), "version")
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}
