// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

func network(n int) spec.Network {
	return spec.Network{ID: spec.NetworkID(fmt.Sprintf("a%063d", n)), Bridge: fmt.Sprintf("testbr%d", n), Mode: spec.NAT, DPID: spec.DPID(n),
		Controllers: []spec.Controller{"tcp:127.0.0.1:6653", "tcp:127.0.0.1:6654"}, MTU: 1400, LocalMAC: "0e:00:00:00:00:01"}
}

func endpoint(n, e int) spec.Endpoint {
	return spec.Endpoint{ID: spec.EndpointID(fmt.Sprintf("%03d%061d", e, e)), Network: network(n).ID, MAC: "02:42:0a:00:00:02", OFPort: spec.OFPort(e), Boot: "boot"}
}

func TestBridgeIsBornComplete(t *testing.T) {
	d := startOVS(t)
	s, ctx := d.connect(), within(t, 20*time.Second)
	n := network(1)
	n.Uplinks = []spec.Uplink{{Name: "nic0", OFPort: 40}, {Name: "nic1"}}
	for i := range 2 { // the second time changes nothing
		before := d.vsctl("get", "Open_vSwitch", ".", "next_cfg")
		if err := s.EnsureBridge(ctx, n, true); err != nil {
			t.Fatal(err)
		}
		if got := d.vsctl("get-controller", n.Bridge); i == 0 && got != "" {
			t.Errorf("born with controllers: %s", got)
		}
		if err := s.EnsureControllers(ctx, n, false, true); err != nil {
			t.Fatal(err)
		}
		if after := d.vsctl("get", "Open_vSwitch", ".", "next_cfg"); i > 0 && after != before {
			t.Errorf("next_cfg went from %s to %s though nothing differed", before, after)
		}
	}
	for column, want := range map[string]string{
		"datapath_type": "netdev", "fail_mode": "secure", "datapath_id": `"0000000000000001"`,
		"other_config:hwaddr": `"0e:00:00:00:00:01"`, "other_config:disable-in-band": `"true"`,
	} {
		if got := d.vsctl("get", "Bridge", n.Bridge, column); got != want {
			t.Errorf("%s is %s, want %s", column, got, want)
		}
	}
	if got := d.vsctl("get-controller", n.Bridge); got != "tcp:127.0.0.1:6653\ntcp:127.0.0.1:6654" {
		t.Errorf("controllers:\n%s", got)
	}
	if got := d.vsctl("get", "Interface", "nic0", "ofport"); got != "40" {
		t.Errorf("nic0 has OF port %s", got)
	}
	if got := d.vsctl("get", "Interface", n.Bridge, "mtu_request"); got != "1400" {
		t.Errorf("mtu_request is %s", got)
	}
	state, err := s.Load(ctx)
	if err != nil || !reflect.DeepEqual(state.Networks[n.ID], n) {
		t.Errorf("stored: %+v, %v", state.Networks, err)
	}
	refused := errors.New("not now")
	s.BeforeRemoval = func(context.Context) (func(), error) { return nil, refused }
	if err := s.DeleteBridge(ctx, n.ID); !errors.Is(err, refused) {
		t.Errorf("a removal that is not to be: %v", err)
	}
	after := ""
	s.BeforeRemoval = func(context.Context) (func(), error) {
		before := d.vsctl("list-br")
		return func() { after = before + " then " + d.vsctl("list-br") }, nil
	}
	if err := s.DeleteBridge(ctx, n.ID); err != nil {
		t.Fatal(err)
	}
	if want := n.Bridge + " then "; after != want {
		t.Errorf("bridges before and after: %q, want %q", after, want)
	}
	s.BeforeRemoval = nil
	if err := s.DeleteBridge(ctx, n.ID); err != nil {
		t.Errorf("an absent bridge: %v", err)
	}
	for _, table := range []string{"Bridge", "Port", "Interface", "Controller"} {
		if got := d.vsctl("--columns=_uuid", "list", table); got != "" {
			t.Errorf("left in table %s: %s", table, got)
		}
	}
}

func TestWithoutControllerItLearns(t *testing.T) {
	d := startOVS(t)
	n := network(1)
	n.Controllers = nil
	if err := d.connect().EnsureBridge(within(t, 20*time.Second), n, false); err != nil {
		t.Fatal(err)
	}
	if got := d.vsctl("get", "Bridge", n.Bridge, "fail_mode"); got != "standalone" {
		t.Errorf("fail_mode is %s", got)
	}
}

func TestDriftIsRepaired(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	d.vsctl("del-controller", n.Bridge, "--", "del-fail-mode", n.Bridge, "--", "set", "Bridge", n.Bridge, "other_config={other=kept}")
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureControllers(ctx, n, false, true); err != nil {
		t.Fatal(err)
	}
	if got := d.vsctl("get-controller", n.Bridge); !strings.Contains(got, "6653") {
		t.Errorf("controllers: %q", got)
	}
	if got := d.vsctl("get", "Bridge", n.Bridge, "fail_mode"); got != "secure" {
		t.Errorf("fail_mode is %s", got)
	}
	if got := d.vsctl("get", "Bridge", n.Bridge, "other_config"); !strings.Contains(got, "other=kept") || !strings.Contains(got, "datapath-id=") {
		t.Errorf("other_config: %s", got)
	}
}

func TestControllersAnew(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureControllers(ctx, n, false, true); err == nil {
		t.Error("controllers of a bridge that is missing")
	}
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	rows := func() string { return d.vsctl("get", "Bridge", n.Bridge, "controller") }
	var seen []string
	for _, anew := range []bool{true, false, true} {
		if err := s.EnsureControllers(ctx, n, anew, true); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, rows())
	}
	if seen[0] == "[]" || seen[1] != seen[0] || seen[2] == seen[1] {
		t.Errorf("controllers: %q", seen)
	}
	if got := d.vsctl("get-controller", n.Bridge); got != "tcp:127.0.0.1:6653\ntcp:127.0.0.1:6654" {
		t.Errorf("controllers:\n%s", got)
	}
}

// A new controller is waited for until the bridge has flows, and no longer.
func TestSettle(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	if count, err := s.flows(ctx, n.Bridge); err != nil || count != 0 {
		t.Errorf("a bridge that shall have controllers is born with %d flows, %v", count, err)
	}
	s.settleWithin = time.Hour
	settled := make(chan error, 1)
	go func() { settled <- s.EnsureControllers(ctx, n, false, true) }()
	d.await("the controllers", func() bool { return d.vsctl("get-controller", n.Bridge) != "" })
	select {
	case err := <-settled:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	d.command("ovs-ofctl", "add-flow", "unix:"+d.path(n.Bridge+".mgmt"), "actions=drop")
	if err := <-settled; err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("waited for more than the flow")
	}
}

// A bridge keeps its flows when it gets controllers, as it does at the end of a
// restart of vswitchd that restored them, and when it loses them; and controllers
// of another type are replaced.
func TestControllersLeaveFlowsAlone(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	d.command("ovs-ofctl", "add-flow", "unix:"+d.path(n.Bridge+".mgmt"), "actions=drop")
	for _, step := range []string{"first", "anew", "of another type"} {
		if step == "of another type" {
			for _, id := range strings.Fields(d.vsctl("--bare", "--columns=_uuid", "list", "Controller")) {
				d.vsctl("set", "Controller", id, "type=primary")
			}
			d.command("ovs-ofctl", "add-flow", "unix:"+d.path(n.Bridge+".mgmt"), "actions=drop") // they deleted it
		}
		if err := s.EnsureControllers(ctx, n, step == "anew", true); err != nil {
			t.Fatal(err)
		}
		if got := d.vsctl("--bare", "--columns=type", "list", "Controller"); strings.Join(strings.Fields(got), " ") != "service service" {
			t.Errorf("%s: types %q", step, got)
		}
		if count, err := s.flows(ctx, n.Bridge); step != "of another type" && (err != nil || count != 1) {
			t.Errorf("%s: %d flows, %v", step, count, err)
		}
	}
}

func TestForeignBridgeIsLeftAlone(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	d.vsctl("add-br", n.Bridge)
	if err := s.EnsureBridge(ctx, n, true); err == nil || !strings.Contains(err.Error(), "ovs.bridge.name") {
		t.Errorf("a foreign bridge of the same name: %v", err)
	}
	if err := s.DeleteBridge(ctx, n.ID); err != nil {
		t.Fatal(err)
	}
	if got := d.vsctl("list-br"); got != n.Bridge {
		t.Errorf("bridges: %q", got)
	}
}

func TestPorts(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	for e := 1; e <= 3; e++ {
		for range 2 {
			got, err := s.EnsurePort(ctx, n, endpoint(1, e))
			if err != nil || got != spec.OFPort(e) {
				t.Fatalf("endpoint %d: OF port %d, %v", e, got, err)
			}
		}
	}
	state, err := s.Load(ctx)
	if err != nil || len(state.Endpoints) != 3 || !reflect.DeepEqual(state.Endpoints[endpoint(1, 2).ID], endpoint(1, 2)) {
		t.Errorf("stored: %+v, %v", state.Endpoints, err)
	}
	if err := s.DeletePort(ctx, endpoint(1, 2).ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DeletePort(ctx, endpoint(1, 2).ID); err != nil {
		t.Errorf("an absent port: %v", err)
	}
	if got := d.vsctl("list-ports", n.Bridge); strings.Count(got, "dsv") != 2 {
		t.Errorf("ports: %q", got)
	}
	views, err := s.Views(ctx)
	if err != nil || len(views[n.ID].Ports) < 3 || views[n.ID].DPID != "0000000000000001" || len(views[n.ID].Controllers) != 0 {
		t.Errorf("views: %+v, %v", views, err)
	}
}

// OVS gives another number when the asked one is taken; the caller is told.
func TestTakenOFPort(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	d.vsctl("add-port", n.Bridge, "foreign0", "--", "set", "Interface", "foreign0", "ofport_request=1")
	got, err := s.EnsurePort(ctx, n, endpoint(1, 1))
	if err != nil || got == 1 || got == 0 {
		t.Fatalf("OF port %d, %v", got, err)
	}
	e := endpoint(1, 1)
	e.OFPort = got
	if again, err := s.EnsurePort(ctx, n, e); err != nil || again != got {
		t.Errorf("pinned: %d, %v", again, err)
	}
	if request := d.vsctl("get", "Interface", spec.HostLink(e.ID), "ofport_request"); request != fmt.Sprint(got) {
		t.Errorf("ofport_request is %s, want %d", request, got)
	}
}

func TestPortWithoutBridge(t *testing.T) {
	d := startOVS(t)
	if _, err := d.connect().EnsurePort(within(t, 20*time.Second), network(1), endpoint(1, 1)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("got %v", err)
	}
}

// A commit says nothing about vswitchd: without it, the call ends by its
// deadline and says so.
func TestVswitchdAway(t *testing.T) {
	d := startOVS(t)
	s, n := d.connect(), network(1)
	if err := s.EnsureBridge(within(t, 20*time.Second), n, true); err != nil {
		t.Fatal(err)
	}
	kill(d.vswitchd)
	if _, err := s.EnsurePort(within(t, 300*time.Millisecond), n, endpoint(1, 1)); err == nil || !strings.Contains(err.Error(), "ovs-vswitchd") {
		t.Errorf("got %v", err)
	}
	d.startVswitchd()
	if got, err := s.EnsurePort(within(t, 20*time.Second), n, endpoint(1, 1)); err != nil || got != 1 {
		t.Errorf("after its return: %d, %v", got, err)
	}
}

func TestReconnect(t *testing.T) {
	d := startOVS(t)
	s, n := d.connect(), network(1)
	if err := s.EnsureBridge(within(t, 20*time.Second), n, true); err != nil {
		t.Fatal(err)
	}
	kill(d.server)
	d.await("the loss", func() bool { return !s.Connected() })
	if err := s.EnsureBridge(within(t, time.Second), n, true); err == nil {
		t.Error("no error while the database is away")
	}
	d.startServer()
	select {
	case <-s.Resync():
	case <-time.After(20 * time.Second):
		t.Fatal("no reconnect")
	}
	if state, err := s.Load(within(t, 20*time.Second)); err != nil || len(state.Networks) != 1 {
		t.Errorf("after the reconnect: %+v, %v", state, err)
	}
	if err := s.EnsureBridge(within(t, 20*time.Second), n, true); err != nil {
		t.Error(err)
	}
}

func TestNewerRowsAreLeftAlone(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 20*time.Second), network(1)
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	d.vsctl("set", "Bridge", n.Bridge, "external_ids:"+keyVersion+"=999")
	if state, err := s.Load(ctx); err == nil || !strings.Contains(err.Error(), "999") || len(state.Networks) != 0 {
		t.Errorf("got %+v, %v", state, err)
	}
	if err := s.EnsureBridge(ctx, n, true); err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Errorf("overwritten: %v", err)
	}
	if got := d.vsctl("get", "Bridge", n.Bridge, "external_ids:"+keyVersion); got != `"999"` {
		t.Errorf("the version is %s", got)
	}
}
