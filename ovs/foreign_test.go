// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dovesnap/spec"
)

func TestForeignPorts(t *testing.T) {
	d := startOVS(t)
	s, ctx := d.connect(), within(t, 60*time.Second)
	expect := func(when string, want map[spec.NetworkID][]spec.ForeignPort) {
		t.Helper()
		got, err := s.ForeignPorts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", when, diff)
		}
	}
	d.vsctl("add-br", "other0", "--", "set", "Bridge", "other0", "datapath_type=dummy", "--", "add-port", "other0", "theirs0")
	expect("no bridge of ours", nil)

	one, two := network(1), network(2)
	one.Uplinks = []spec.Uplink{{Name: "nic0", OFPort: 40}}
	for _, n := range []spec.Network{one, two} {
		if err := s.EnsureBridge(ctx, n, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.EnsurePort(ctx, one, endpoint(1, 1)); err != nil {
		t.Fatal(err)
	}
	none := map[spec.NetworkID][]spec.ForeignPort{}
	expect("only ours", none)

	d.vsctl("add-port", one.Bridge, "tap0", "--", "set", "Interface", "tap0", "ofport_request=30",
		"--", "add-port", one.Bridge, "vx0", "--", "set", "Interface", "vx0", "type=vxlan", "options:remote_ip=192.0.2.1", "ofport_request=20",
		"--", "add-bond", one.Bridge, "bond0", "slave0", "slave1",
		"--", "set", "Interface", "slave0", "ofport_request=51", "--", "set", "Interface", "slave1", "ofport_request=50",
		"--", "add-port", two.Bridge, "patch0", "--", "set", "Interface", "patch0", "type=patch", "options:peer=patch1", "ofport_request=10",
		"--", "add-port", "other0", "patch1", "--", "set", "Interface", "patch1", "type=patch", "options:peer=patch0")
	all := map[spec.NetworkID][]spec.ForeignPort{
		one.ID: {{Name: "vx0", OFPort: 20}, {Name: "tap0", OFPort: 30}, {Name: "slave1", OFPort: 50}, {Name: "slave0", OFPort: 51}},
		two.ID: {{Name: "patch0", OFPort: 10}},
	}
	expect("theirs", all)

	// What vswitchd cannot open has no number (ovs-vsctl says so, with exit code 0).
	d.vsctl("--no-wait", "add-port", one.Bridge, "bad0", "--", "set", "Interface", "bad0", "type=nonsense")
	d.await("an error", func() bool { return strings.Contains(d.vsctl("get", "Interface", "bad0", "error", "ofport"), "-1") })
	expect("one that does not work", all)

	d.vsctl("del-port", "vx0", "--", "del-port", "bond0", "--", "del-port", "tap0", "--", "del-port", "bad0", "--", "del-port", "patch0")
	expect("gone again", none)
}

// What is found costs what it holds, not what is attached beside it.
func BenchmarkForeignPorts(b *testing.B) {
	for _, others := range []int{10, 500} {
		b.Run(fmt.Sprintf("beside=%d", others), func(b *testing.B) {
			d := startOVS(b)
			s, ctx, n := d.connect(), within(b, 5*time.Minute), network(1)
			if err := s.EnsureBridge(ctx, n, true); err != nil {
				b.Fatal(err)
			}
			for i := range others {
				if _, err := s.EnsurePort(ctx, n, endpoint(1, i+1)); err != nil {
					b.Fatal(err)
				}
			}
			d.vsctl("add-port", n.Bridge, "tap0")
			for b.Loop() {
				if found, err := s.ForeignPorts(ctx); err != nil || len(found[n.ID]) != 1 {
					b.Fatalf("%v, %v", found, err)
				}
			}
		})
	}
}
