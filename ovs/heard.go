// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"dovesnap/spec"
)

var inPort = regexp.MustCompile(`in_port=(\d+)`)

// Heard returns the OpenFlow ports of a network's bridge for which its controllers
// have flows of what comes in there; nil when no controller is connected, or none
// has put flows there yet.
func (s *Switch) Heard(ctx context.Context, n spec.Network) (map[spec.OFPort]bool, error) {
	ses, err := s.current()
	if err != nil {
		return nil, err
	}
	connected, err := ses.anyConnected(ctx, n)
	if err != nil || !connected {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "ovs-ofctl", "--timeout=5", "--protocols=OpenFlow10,OpenFlow13,OpenFlow14", "--no-names", "--no-stats",
		"dump-flows", s.management(n.Bridge)).Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list flows of bridge %q: %w", n.Bridge, err)
	}
	var heard map[spec.OFPort]bool
	for _, m := range inPort.FindAllSubmatch(out, -1) {
		if heard == nil {
			heard = map[spec.OFPort]bool{}
		}
		if number, err := strconv.ParseUint(string(m[1]), 10, 32); err == nil {
			heard[spec.OFPort(number)] = true
		}
	}
	return heard, nil
}

func (ses *session) anyConnected(ctx context.Context, n spec.Network) (bool, error) {
	b, err := ses.one(ctx, selectOp(tableBridge, marked(keyNetwork, string(n.ID)), "controller"))
	if err != nil || b == nil {
		return false, err
	}
	for _, id := range b.uuids("controller") {
		c, err := ses.one(ctx, selectOp(tableController, byUUID(id), "is_connected"))
		if err != nil {
			return false, err
		}
		if c.flag("is_connected") {
			return true, nil
		}
	}
	return false, nil
}
