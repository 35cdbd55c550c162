// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// The bell is an OVSDB monitor (RFC 7047 section 4.1.5) of which only one thing is
// used: that an update came. Whoever hears it asks the server.
//
// It is not libovsdb's. That one keeps every row that it is told of, which nobody
// here reads; it closes a connection whose updates it cannot make sense of, and a
// connection that is lost while it is being made leaves it in a data race. This one
// keeps nothing, on a connection of its own, so that no transaction waits behind an
// update.

// heard is what comes, goes and is numbered. Nothing else rings: statistics change
// all the time, and external_ids whenever the spec of an endpoint does.
var heard = map[string][]string{
	tableBridge:    {"ports"},
	tablePort:      {"interfaces"},
	tableInterface: {"name", "ofport"},
}

// PortsChanged receives when a port of some bridge may have come, gone or got
// another number, ours among them: look again, by ForeignPorts. It also does
// whenever changes may have been missed. Rings that nobody has heard yet are one.
func (s *Switch) PortsChanged() <-chan struct{} { return s.portsChanged }

func (s *Switch) ring() {
	select {
	case s.portsChanged <- struct{}{}:
	default:
	}
}

// accompany listens for changes while a session lasts, whose echo finds out about
// a server that hangs; the function it returns ends that.
func (s *Switch) accompany(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.listen(ctx)
	}()
	return func() { cancel(); <-done }
}

// listen keeps the monitor until ctx ends.
func (s *Switch) listen(ctx context.Context) {
	var last string
	for {
		err := s.monitor(ctx)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last {
			s.log.Warn("changes of ports are not heard of", "endpoint", s.endpoint, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryDelay):
		}
	}
}

// message is a request, a notification or an answer of JSON-RPC 1.0.
type message struct {
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// monitor rings at each update, and once when it has begun, until the connection
// is lost or ctx ends.
func (s *Switch) monitor(ctx context.Context) error {
	network, address, _ := strings.Cut(s.endpoint, ":")
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	if err := out.Encode(monitorRequest()); err != nil {
		return err
	}
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			return fmt.Errorf("the connection was closed: %w", err)
		}
		switch {
		case m.Method == "echo":
			if err := out.Encode(message{Result: m.Params, ID: m.ID}); err != nil {
				return err
			}
		case m.Method != "" || isNull(m.Error): // an update, or the monitor has begun
			s.ring()
		default:
			return errors.New("Open vSwitch's database refuses a monitor: " + string(m.Error))
		}
	}
}

func isNull(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// monitorRequest asks for no rows to begin with.
func monitorRequest() any {
	tables := map[string]any{}
	for table, columns := range heard {
		tables[table] = map[string]any{"columns": columns, "select": map[string]bool{"initial": false}}
	}
	return map[string]any{"method": "monitor", "params": []any{tableRoot, "ports", tables}, "id": 0}
}
