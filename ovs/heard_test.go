// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"maps"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

func TestHeard(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Heard(ctx, n); got != nil || err != nil {
		t.Errorf("without flows: %v, %v", got, err)
	}
	for _, flow := range []string{
		"in_port=1,actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1",
		"table=1,in_port=2,actions=drop",
		"in_port=3,actions=goto_table:1", // an ACL's, as Faucet writes for a port that is down
		"actions=drop",
	} {
		d.command("ovs-ofctl", "--protocols=OpenFlow13", "add-flow", "unix:"+d.path(n.Bridge+".mgmt"), flow)
	}
	if got, err := s.Heard(ctx, n); !maps.Equal(got, map[spec.OFPort]bool{1: true, 2: true}) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for port, want := range map[spec.OFPort]int{1: 0, 2: 1, 3: 0} {
		if got, err := s.Takes(ctx, n, port); got != want || err != nil {
			t.Errorf("port %d: %d, %v", port, got, err)
		}
	}
	if count, err := s.flows(ctx, n.Bridge); count != 4 || err != nil {
		t.Errorf("%d flows, %v", count, err)
	}
}

func TestNobodyToAsk(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	_, heard := s.Heard(ctx, n)
	_, flows := s.flows(ctx, n.Bridge)
	for want, err := range map[string]error{
		`cannot list flows of bridge "` + n.Bridge + `": `:  heard,
		`cannot count flows of bridge "` + n.Bridge + `": `: flows,
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "No such file") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	}
}
