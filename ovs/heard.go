// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"

	"dovesnap/spec"
)

var inPort = regexp.MustCompile(`\bin_port=(\d+)\b`)

// vlan tells a flow that gives what comes in by a port its VLAN, which Faucet has
// for ports that it takes to be up, from one of an ACL, which it has for others too.
var vlan = regexp.MustCompile(`vlan|\btable=[1-9]`)

// Heard returns the OpenFlow ports of a network's bridge from which controllers have
// let in what comes, as far as their flows tell; nil when they have put none there.
func (s *Switch) Heard(ctx context.Context, n spec.Network) (map[spec.OFPort]bool, error) {
	out, err := s.dumpFlows(ctx, n.Bridge)
	if err != nil {
		return nil, err
	}
	var heard map[spec.OFPort]bool
	for _, line := range bytes.Split(out, []byte("\n")) {
		if bytes.Contains(line, []byte("actions=")) && heard == nil {
			heard = map[spec.OFPort]bool{}
		}
		m := inPort.FindSubmatch(line)
		if m == nil || !vlan.Match(line) {
			continue
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
