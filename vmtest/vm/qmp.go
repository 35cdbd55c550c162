// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// qmp is a conversation with qemu's machine protocol, one command at a time.
type qmp struct {
	conn net.Conn
	in   *json.Decoder
}

func dialQMP(ctx context.Context, path string) (*qmp, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	q := &qmp{conn, json.NewDecoder(conn)}
	var greeting any
	if err := q.in.Decode(&greeting); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot reach qemu: %w", err)
	}
	if err := q.run("qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// run runs a command, and stores what it returns in result unless that is nil.
func (q *qmp) run(command string, arguments map[string]any, result any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(request); err != nil {
		return fmt.Errorf("cannot send %q to qemu: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := q.in.Decode(&answer); err != nil {
			return fmt.Errorf("cannot read qemu's answer to %q: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("cannot run %q in qemu: %s", command, answer.Error.Desc)
		case answer.Return == nil: // an event
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Return, result)
		}
	}
}

// status runs a query again and again until its status is none of those, and
// returns it.
func (q *qmp) status(ctx context.Context, query string, not ...string) (string, error) {
	for {
		var answer struct{ Status string }
		if err := q.run(query, nil, &answer); err != nil {
			return "", err
		}
		passing := false
		for _, n := range not {
			passing = passing || answer.Status == n
		}
		if !passing {
			return answer.Status, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("cannot wait for qemu: %s: %w", answer.Status, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
