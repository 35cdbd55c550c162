// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSetUp(t *testing.T) {
	s := snapshot{text: `# dovesnap flows of bridge=b datapath-id=1 fail-mode=secure
flow delete
group delete
flow add cookie=0x5adc15c0, priority=4096,in_port=1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1
flow add table=1, cookie=0x5adc15c0, priority=0 actions=drop
flow add table=1, cookie=0x5adc15c0, idle_timeout=300, priority=8191,dl_src=02:42:ac:0c:00:08 actions=drop
`}
	const (
		first   = " cookie=0x5adc15c0, duration=%ss, table=0, n_packets=7, n_bytes=680, priority=4096,in_port=1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4196->vlan_vid,goto_table:1\n"
		second  = " cookie=0x5adc15c0, duration=%ss, table=1, n_packets=0, n_bytes=0, priority=0 actions=drop\n"
		learned = " cookie=0x5adc15c0, duration=%ss, table=1, n_packets=0, n_bytes=0, idle_timeout=300, priority=8191,dl_src=02:42:ac:0c:00:08 actions=drop\n"
	)
	// As ovs-ofctl prints them, the table first where it is not 0.
	s.text = strings.ReplaceAll(s.text, "table=1, cookie=0x5adc15c0, ", "cookie=0x5adc15c0, table=1, ")
	dump := func(lines ...string) string {
		return "OFPST_FLOW reply (OF1.3) (xid=0x2):\n" + strings.Join(lines, "")
	}
	at := func(line, age string) string { return fmt.Sprintf(line, age) }
	for _, c := range []struct {
		name, dump  string
		begun, done bool
	}{
		{"restored", dump(at(first, "3.2"), at(second, "3.1"), at(learned, "3.1")), false, false},
		{"the learned one has timed out", dump(at(first, "3.2"), at(second, "3.1")), false, false},
		{"deleted", dump(), true, false},
		{"one is back", dump(at(second, "0.01")), true, false},
		{"one is back, one is still the restored one", dump(at(first, "3.2"), at(second, "0.01")), true, false},
		{"all are back", dump(at(first, "0.02"), at(second, "0.01")), true, true},
		{"something else", dump(at(learned, "0.02")), true, false},
	} {
		if begun, done := s.awaited().setUp(c.dump, 3*time.Second); begun != c.begun || done != c.done {
			t.Errorf("%s: begun %t, done %t", c.name, begun, done)
		}
	}
}

// kernelLike are settings under which bridges of type "system" are in a datapath
// of ovs-vswitchd's own that needs no kernel module (its dummy).
func kernelLike(t *testing.T) Config {
	t.Helper()
	cfg := quick()
	c, err := cfg.withDefaults()
	must(t, err)
	real, err := c.tool(ovsVswitchd)
	must(t, err)
	cfg.BinDirs = []string{t.TempDir()}
	must(t, os.WriteFile(filepath.Join(cfg.BinDirs[0], ovsVswitchd), []byte("#!/bin/sh\nexec "+real+" --enable-dummy=system \"$@\"\n"), 0o755))
	cfg.ProbeEvery = time.Second
	cfg.SetUpBegins, cfg.SetUpWithin = time.Minute, time.Minute // nothing here ends by time
	return cfg
}

// TestPause has an ovs-vswitchd die whose bridge has a controller.
func TestPause(t *testing.T) {
	if !isolated(t) {
		return
	}
	cfg := kernelLike(t)
	r := start(t, cfg)
	r.awaitReady()
	sh(t, "ovs-vsctl", "--timeout=10", "add-br", "ours", "--", "set", "bridge", "ours",
		"fail_mode=secure", "protocols=OpenFlow13", "other_config:datapath-id=0000000000000001", "other_config:disable-in-band=true",
		"external_ids:dovesnap-network=abc",
		"--", "add-port", "ours", "p1", "--", "set", "interface", "p1", "type=dummy", "ofport_request=1",
		"--", "add-port", "ours", "p2", "--", "set", "interface", "p2", "type=dummy", "ofport_request=2",
		"--", "add-br", "other",
		// Nobody listens there: this test is the controller.
		"--", "--id=@c", "create", "controller", `target="tcp:127.0.0.1:1"`, "type=service", "--", "set", "bridge", "ours", "controller=@c")
	ofctl := func(args ...string) string {
		return sh(t, "ovs-ofctl", append([]string{"-O", "OpenFlow13"}, args...)...)
	}
	setUp := func() { ofctl("add-flow", "ours", "in_port=1,actions=output:2") }
	appctl := func(args ...string) string { return sh(t, "ovs-appctl", append([]string{"--timeout=10"}, args...)...) }
	save := func() { must(t, SaveFlows(t.Context(), cfg, slog.New(slog.DiscardHandler))) }
	// paused returns the pid of the ovs-vswitchd that this supervisor is the n-th to
	// pause.
	paused := func(n int) int {
		t.Helper()
		eventually(t, "the revalidators are paused", func() bool {
			return strings.Count(r.log.String(), "paused the revalidators") == n
		})
		return pidIn("/run/dovesnap/paused")
	}
	dies := func() {
		save()
		must(t, unix.Kill(r.pid(ovsVswitchd), unix.SIGKILL))
	}
	// revalidated returns when the revalidators have made a round.
	revalidated := func() { appctl("revalidator/wait") }
	const (
		packet = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x0800)," +
			"ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)"
	)
	kernelFlows := func() string { return appctl("dpctl/dump-flows", "system@ovs-system") }

	setUp()
	dies()
	paused(1)
	appctl("netdev-dummy/receive", "p1", packet)
	eventually(t, "a flow of the datapath", func() bool { return strings.Contains(kernelFlows(), "actions:2") })

	// The controller deletes what it finds, and adds it later.
	ofctl("del-flows", "ours")
	if flows := kernelFlows(); !strings.Contains(flows, "actions:2") {
		t.Errorf("what is under way is no longer forwarded: %s", flows)
	}
	// Meanwhile no bridge is removed.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Unpaused(ctx); err == nil || !strings.HasPrefix(err.Error(), "cannot wait for the end of a pause") {
		t.Errorf("a bridge could be removed: %v", err)
	}
	setUp()
	release, err := r.Unpaused(t.Context())
	must(t, err)
	release()
	revalidated()
	if flows := kernelFlows(); !strings.Contains(flows, "actions:2") {
		t.Errorf("what is under way is no longer forwarded: %s", flows)
	}
	eventually(t, "ready", func() bool { return r.pid(ovsVswitchd) != 0 })
	if _, err := os.Stat("/run/dovesnap/paused"); !os.IsNotExist(err) {
		t.Errorf("the mark stays: %v", err)
	}

	// dovesnap ends meanwhile: it ends the pause first.
	dies()
	pid := paused(2)
	r.stop()
	revalidated()
	r = start(t, cfg)
	r.awaitReady()
	if r.pid(ovsVswitchd) != pid {
		t.Errorf("ovs-vswitchd was started anew")
	}

	// Somebody else removes a bridge meanwhile, and ovs-vswitchd hangs: it is found
	// out.
	dies()
	pid = paused(1)
	sh(t, "ovs-vsctl", "--timeout=10", "--no-wait", "del-br", "other")
	if paused(2) == pid {
		t.Error("it was not started anew")
	}
	setUp()
	eventually(t, "another ovs-vswitchd", func() bool { now := r.pid(ovsVswitchd); return now != 0 && now != pid })
	if !strings.Contains(r.log.String(), "does not serve: "+errAbandoned.Error()) {
		t.Error("it was not found out")
	}

	// A controller that is away, and a bridge without one, are not waited for.
	r.stop()
	cfg.SetUpBegins = time.Millisecond
	r = start(t, cfg)
	r.awaitReady()
	setUp()
	dies()
	r.awaitReplaced(ovsVswitchd, 0)
	revalidated()
	r.stop()
	cfg.SetUpBegins = time.Minute
	r = start(t, cfg)
	r.awaitReady()
	sh(t, "ovs-vsctl", "--timeout=10", "del-controller", "ours")
	setUp()
	dies()
	r.awaitReplaced(ovsVswitchd, 0)
	revalidated()
	r.stop()
}

// TestPauseAbandoned kills, in the middle of a pause, the process that would end it.
func TestPauseAbandoned(t *testing.T) {
	if !isolated(t) {
		return
	}
	cfg := kernelLike(t)
	r := start(t, cfg)
	r.awaitReady()
	sh(t, "ovs-vsctl", "--timeout=10", "add-br", "ours")
	vs := r.pid(ovsVswitchd)

	// An ovs-vswitchd that does not know the commands is not paused.
	whole, err := cfg.withDefaults()
	must(t, err)
	v := newVswitchd(whole, slog.New(slog.DiscardHandler))
	p, err := v.Adopt(t.Context())
	must(t, err)
	if err := v.revalidators(t.Context(), p, "nonsense"); err == nil || errors.Is(err, errAbandoned) {
		t.Errorf("an unknown command: %v", err)
	}
	p.Release()

	dying := exec.Command(executable(t))
	dying.Env = append(os.Environ(), oneshotEnv+"=pause "+fmt.Sprint(vs))
	must(t, dying.Start())
	eventually(t, "the revalidators are paused", func() bool { return pidIn("/run/dovesnap/paused") == vs })
	must(t, dying.Process.Kill())
	_ = dying.Wait() // killed, as asked
	if now := r.awaitReplaced(ovsVswitchd, vs); now == vs {
		t.Error("ovs-vswitchd stays paused")
	}
	if !strings.Contains(r.log.String(), errAbandoned.Error()) {
		t.Error("not for that reason")
	}
	sh(t, "ovs-appctl", "--timeout=10", "revalidator/wait")
	if _, err := os.Stat("/run/dovesnap/paused"); !os.IsNotExist(err) {
		t.Errorf("the mark stays: %v", err)
	}
}

// pauseForEver is a dovesnap that never ends a pause.
func pauseForEver(pid string, log *slog.Logger) error {
	cfg, err := quick().withDefaults()
	if err != nil {
		return err
	}
	v := newVswitchd(cfg, log)
	p, err := v.Adopt(context.Background())
	if err != nil {
		return err
	}
	lock, err := cfg.pauseLock(context.Background(), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	err = v.pause(context.Background(), p)
	if err != nil {
		return err
	}
	<-p.Done()
	return fmt.Errorf("pid %s has ended", pid)
}

// TestOneHandOverAtATime: while the unit's command restores flows, an adopting
// dovesnap finds nothing left to do.
func TestOneHandOverAtATime(t *testing.T) {
	if !isolated(t) {
		return
	}
	r := start(t, quick())
	r.awaitReady()
	vs := r.pid(ovsVswitchd)
	r.stop()
	sh(t, "ovs-vsctl", "--timeout=10", "add-br", "ours", "--", "set", "bridge", "ours", "datapath_type=netdev",
		"fail_mode=secure", "protocols=OpenFlow13", "other_config:datapath-id=0000000000000001", "external_ids:dovesnap-network=abc")
	sh(t, "ovs-ofctl", "-O", "OpenFlow13", "add-flow", "ours", "in_port=1,actions=drop")
	must(t, SaveFlows(t.Context(), quick(), slog.New(slog.DiscardHandler)))
	sh(t, "ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".", "other_config:"+restoreWait+"=true")

	cfg := quick()
	cfg.ProbeTimeout = time.Minute
	cfg, err := cfg.withDefaults()
	must(t, err)
	log := &lockedBuffer{}
	v := newVswitchd(cfg, slog.New(slog.NewTextHandler(log, nil)))
	p, err := v.Adopt(t.Context())
	must(t, err)
	defer p.Release()
	if p.PID() != vs {
		t.Fatalf("pid %d, want %d", p.PID(), vs)
	}
	other, err := cfg.pauseLock(t.Context(), unix.LOCK_EX)
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- v.handOver(t.Context(), p) }()
	sh(t, "ovs-vsctl", "--timeout=10", "remove", "Open_vSwitch", ".", "other_config", restoreWait)
	must(t, other.Close())
	if err := <-done; !errors.Is(err, errSettling) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(log.String(), "restored flows") {
		t.Errorf("flows were restored twice:\n%s", log.String())
	}
}
