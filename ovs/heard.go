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
	out, err := s.dumpFlows(ctx, n.Bridge, "")
	if err != nil {
		return nil, err
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

// Takes counts the flows of a network's bridge by which what comes in by an OpenFlow
// port gets beyond the first table. That one has the ports' ACLs, which Faucet
// writes for ports that are down, too; only the next lets a port's packets in.
func (s *Switch) Takes(ctx context.Context, n spec.Network, port spec.OFPort) (int, error) {
	out, err := s.dumpFlows(ctx, n.Bridge, fmt.Sprintf("in_port=%d", port))
	if err != nil {
		return 0, err
	}
	return len(laterTable.FindAll(out, -1)), nil
}

// laterTable finds the table's number where it is not 0, which ovs-ofctl leaves out.
var laterTable = regexp.MustCompile(`\btable=[1-9]`)

// dumpFlows lists the flows of a bridge, all or those that match.
func (s *Switch) dumpFlows(ctx context.Context, bridge, match string) ([]byte, error) {
	argv := []string{"--timeout=5", "--protocols=OpenFlow10,OpenFlow13,OpenFlow14", "--no-names", "--no-stats", "dump-flows", s.management(bridge)}
	if match != "" {
		argv = append(argv, match)
	}
	out, err := exec.CommandContext(ctx, "ovs-ofctl", argv...).Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list flows of bridge %q: %w", bridge, err)
	}
	return out, nil
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
