// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

// limited returns how many rows of limits there are, and how many ports have one.
func (d *daemons) limited() [3]int {
	d.t.Helper()
	return [3]int{
		len(strings.Fields(d.vsctl("--bare", "--columns=_uuid", "list", "QoS"))),
		len(strings.Fields(d.vsctl("--bare", "--columns=_uuid", "list", "Queue"))),
		len(strings.Fields(d.vsctl("--bare", "--columns=qos", "list", "Port"))),
	}
}

// A limit of what a container receives is made once, comes back as it was, and
// goes with its reason: the option, the port, or the bridge.
func TestRateIn(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 60*time.Second), network(1)
	e, other := endpoint(1, 1), endpoint(1, 2)
	e.RateIn, other.RateIn = 10e6, 1e6
	name := spec.HostLink(e.ID)
	ensure := func(e spec.Endpoint) {
		t.Helper()
		if err := s.EnsureBridge(ctx, n, true); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EnsurePort(ctx, n, e); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, want [3]int) {
		t.Helper()
		if got := d.limited(); got != want {
			t.Errorf("%s: rows of QoS, Queue, limited ports: %v, want %v", when, got, want)
		}
	}
	as := func(when string) {
		t.Helper()
		qos := d.vsctl("get", "Port", name, "qos")
		for _, part := range []string{"linux-htb", `max-rate="10000000"`, keyNetwork + "=" + string(n.ID), keyEndpoint + `="` + string(e.ID) + `"`} {
			if got := d.vsctl("get", "QoS", qos, "type", "other_config", "external_ids"); !strings.Contains(got, part) {
				t.Errorf("%s: QoS has no %s: %s", when, part, got)
			}
		}
		queue, isZero := strings.CutPrefix(d.vsctl("get", "QoS", qos, "queues"), "{0=")
		if !isZero {
			t.Fatalf("%s: queues %s", when, queue)
		}
		if got := d.vsctl("get", "Queue", strings.Trim(queue, "}"), "other_config"); got != `{max-rate="10000000"}` {
			t.Errorf("%s: queue: %s", when, got)
		}
	}
	ensure(e)
	ensure(other)
	as("made")
	before := d.vsctl("get", "Open_vSwitch", ".", "next_cfg")
	ensure(e)
	if after := d.vsctl("get", "Open_vSwitch", ".", "next_cfg"); after != before {
		t.Error("the second time changed something")
	}
	expect("made", [3]int{2, 2, 2})

	for when, change := range map[string][]string{
		"another rate":  {"set", "QoS", name, "other_config:max-rate=5"},
		"no queue":      {"clear", "QoS", name, "queues"},
		"another limit": {"--id=@q", "create", "QoS", "type=linux-noop", "--", "set", "Port", name, "qos=@q"},
		"no limit":      {"clear", "Port", name, "qos"},
	} {
		at := slices.Index(change, name)
		if change[1] == "QoS" {
			change[at] = d.vsctl("get", "Port", name, "qos")
		}
		d.vsctl(change...)
		ensure(e)
		as(when)
	}
	if err := s.SweepQoS(ctx); err != nil {
		t.Fatal(err)
	}
	expect("one of somebody else's is left", [3]int{3, 2, 2})
	d.vsctl("--all", "destroy", "QoS", "--", "--all", "destroy", "Queue", "--", "clear", "Port", name, "qos", "--", "clear", "Port", spec.HostLink(other.ID), "qos")
	ensure(e)
	ensure(other)
	as("all gone")
	expect("all gone", [3]int{2, 2, 2})

	e.RateIn = 0
	ensure(e)
	expect("dropped", [3]int{1, 1, 1})
	e.RateIn = 2e6
	ensure(e)
	for range 2 {
		if err := s.DeletePort(ctx, e.ID); err != nil {
			t.Fatal(err)
		}
		expect("port removed", [3]int{1, 1, 1})
	}
	if err := s.DeleteBridge(ctx, n.ID); err != nil {
		t.Fatal(err)
	}
	expect("bridge removed", [3]int{0, 0, 0})
}

// What a port leaves that somebody else removed is found by its marks; the rows of
// others stay.
func TestSweepQoS(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		e := endpoint(1, i)
		e.RateIn = 1e6
		if _, err := s.EnsurePort(ctx, n, e); err != nil {
			t.Fatal(err)
		}
	}
	d.vsctl("create", "QoS", "type=linux-htb")
	d.vsctl("create", "Queue", "other_config:max-rate=1")
	d.vsctl("del-port", n.Bridge, spec.HostLink(endpoint(1, 1).ID))
	for range 2 {
		if err := s.SweepQoS(ctx); err != nil {
			t.Fatal(err)
		}
		if got := d.limited(); got != [3]int{3, 3, 2} {
			t.Errorf("rows of QoS, Queue, limited ports: %v", got)
		}
	}
	// DeletePort, too, though the port is gone; and a port of the same endpoint
	// takes the place of what is left.
	d.vsctl("del-port", n.Bridge, spec.HostLink(endpoint(1, 2).ID), "--", "del-port", n.Bridge, spec.HostLink(endpoint(1, 3).ID))
	if err := s.DeletePort(ctx, endpoint(1, 2).ID); err != nil {
		t.Fatal(err)
	}
	e := endpoint(1, 3)
	e.RateIn = 2e6
	if _, err := s.EnsurePort(ctx, n, e); err != nil {
		t.Fatal(err)
	}
	if got := d.limited(); got != [3]int{2, 2, 1} {
		t.Errorf("rows of QoS, Queue, limited ports: %v", got)
	}
}

func TestRateOut(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	e := endpoint(1, 1)
	e.RateOut = 10e6
	policing := func() string {
		return strings.Join(strings.Fields(d.vsctl("get", "Interface", spec.HostLink(e.ID), "ingress_policing_rate", "ingress_policing_burst")), " ")
	}
	ensure := func(want string) {
		t.Helper()
		if err := s.EnsureBridge(ctx, n, false); err != nil {
			t.Fatal(err)
		}
		if _, err := s.EnsurePort(ctx, n, e); err != nil {
			t.Fatal(err)
		}
		if got := policing(); got != want {
			t.Errorf("rate and burst %s, want %s", got, want)
		}
	}
	ensure("10000 2700")
	d.vsctl("set", "Interface", spec.HostLink(e.ID), "ingress_policing_rate=7")
	ensure("10000 2700")
	e.RateOut = 100e3
	ensure("100 225")
	e.RateOut = 0
	ensure("0 0")
}

func TestRateOutInUserspace(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	e := endpoint(1, 1)
	e.RateOut = 10e6
	const want = "driver-opt ovs.port.rate_out: Open vSwitch's userspace datapath cannot limit what a container sends"
	if _, err := s.EnsurePort(ctx, n, e); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if got := d.vsctl("list-ports", n.Bridge); got != "" {
		t.Errorf("ports: %s", got)
	}
}

// Before 3.2 Open vSwitch counts bytes per second in 32 bits.
func TestRatesBeyondWhatOVSCounts(t *testing.T) {
	for _, r := range []spec.BitRate{maxRate, 1e12} {
		if got := rateText(r); got != "34000000000" {
			t.Errorf("%d becomes %s", r, got)
		}
		if rate, _ := policing(spec.Endpoint{RateOut: r}); rate/8*1000 >= 1<<32 || rate != 34e6 {
			t.Errorf("%d becomes %d kbit/s", r, rate)
		}
	}
}
