// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quick are the standard places with timings for a test.
func quick() Config {
	return Config{ProbeEvery: 200 * time.Millisecond, ProbeTimeout: time.Second, FlowsEvery: 100 * time.Millisecond}
}

// running is a Supervisor in its own goroutine, until stopped.
type running struct {
	*Supervisor
	t    *testing.T
	end  context.CancelFunc
	done chan error
	log  *lockedBuffer
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	log := &lockedBuffer{}
	s, err := New(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{s, t, cancel, make(chan error, 1), log}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("log of the supervisor:\n%s", log.String())
		}
	})
	return r
}

func (r *running) awaitReady() {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.done:
		r.t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		r.t.Fatalf("not ready: %+v", r.Status())
	}
}

func (r *running) stop() {
	r.t.Helper()
	r.end()
	must(r.t, <-r.done)
}

func (r *running) child(name string) Child {
	for _, c := range r.Status().Children {
		if c.Name == name {
			return c
		}
	}
	return Child{}
}

// pid is 0 while the child is not ready.
func (r *running) pid(name string) int {
	if c := r.child(name); c.State == Ready {
		return c.PID
	}
	return 0
}

// awaitReplaced waits until the child is ready with another pid, and Changed has
// told so.
func (r *running) awaitReplaced(name string, old int) int {
	r.t.Helper()
	select {
	case <-r.Changed():
	case <-time.After(60 * time.Second):
		r.t.Fatalf("no change reported: %+v", r.Status())
	}
	pid := r.pid(name)
	if pid == 0 || pid == old {
		r.t.Fatalf("%s: pid %d after pid %d: %+v", name, pid, old, r.Status())
	}
	return pid
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func alive(name string) []int { return processes(name) }

func TestManagedLifecycle(t *testing.T) {
	if !isolated(t) {
		return
	}
	log := slog.New(slog.DiscardHandler)
	must(t, os.Symlink("/var/lib/openvswitch/conf.db", "/etc/openvswitch/conf.db")) // as Debian has it
	r := start(t, quick())
	r.awaitReady()
	st := r.Status()
	if st.Mode != Managed || st.Endpoint != "unix:/run/openvswitch/db.sock" || !st.UserspaceTSO || st.Conflict != "" || len(st.Children) != 2 {
		t.Errorf("status %+v", st)
	}
	if st.Datapath == NetdevDatapath && strings.Count(r.log.String(), "no openvswitch module") != 1 {
		t.Error("the userspace datapath must be mentioned once")
	}
	sh(t, "ovs-vsctl", "--timeout=5", "show")
	if got := sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "other_config"); got != `{userspace-tso-enable="true"}` {
		t.Errorf("other_config is %s", got)
	}
	id := sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "external_ids:system-id")
	if file, err := os.ReadFile("/etc/openvswitch/system-id.conf"); err != nil || `"`+strings.TrimSpace(string(file))+`"` != id {
		t.Errorf("system-id %s, in its file %q, %v", id, file, err)
	}
	eventually(t, "the children's output in our log", func() bool {
		return strings.Contains(r.log.String(), "child=ovs-vswitchd") && strings.Contains(r.log.String(), "bridge: ovs-vswitchd")
	})
	db, vs := r.pid(ovsdbServer), r.pid(ovsVswitchd)
	for _, pid := range []int{db, vs} {
		checkDetached(t, pid)
	}

	// One for one.
	must(t, unix.Kill(db, unix.SIGKILL))
	db = r.awaitReplaced(ovsdbServer, db)
	if r.pid(ovsVswitchd) != vs {
		t.Errorf("ovs-vswitchd was restarted with ovsdb-server: %+v", r.Status())
	}
	must(t, unix.Kill(vs, unix.SIGKILL))
	vs = r.awaitReplaced(ovsVswitchd, vs)
	if r.pid(ovsdbServer) != db {
		t.Errorf("ovsdb-server was restarted with ovs-vswitchd: %+v", r.Status())
	}
	if out := r.log.String(); !strings.Contains(out, "was killed by SIGKILL") {
		t.Error("the log does not say how a child ended")
	}

	// Handed on: the same processes, nothing restarted.
	r.stop()
	r = start(t, quick())
	r.awaitReady()
	if r.pid(ovsdbServer) != db || r.pid(ovsVswitchd) != vs || r.child(ovsdbServer).Restarts != 0 {
		t.Errorf("not adopted: pids %d and %d, now %+v", db, vs, r.Status())
	}
	if got := sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "external_ids:system-id"); got != id {
		t.Errorf("system-id was %s, is %s", id, got)
	}

	// Deaf, not dead.
	must(t, unix.Kill(vs, unix.SIGSTOP))
	vs = r.awaitReplaced(ovsVswitchd, vs)
	must(t, unix.Kill(db, unix.SIGSTOP))
	db = r.awaitReplaced(ovsdbServer, db)
	if r.pid(ovsVswitchd) != vs {
		t.Errorf("ovs-vswitchd was restarted for a deaf ovsdb-server: %+v", r.Status())
	}

	if err := Down(t.Context(), quick(), log); err == nil || !strings.Contains(err.Error(), "another dovesnap") {
		t.Errorf("Down beside a supervisor: %v", err)
	}
	r.stop()
	for range 2 { // the second finds nothing to do
		must(t, Down(t.Context(), quick(), log))
	}
	if left := append(alive(ovsdbServer), alive(ovsVswitchd)...); len(left) > 0 {
		t.Errorf("Down left pids %v", left)
	}
	if left, _ := filepath.Glob("/run/*"); len(left) > 0 {
		t.Errorf("Down left %v", left)
	}
	if target, err := os.Readlink("/etc/openvswitch/conf.db"); err != nil || target != "/var/lib/openvswitch/conf.db" {
		t.Errorf("conf.db is a link to %q: %v", target, err)
	}
}

// checkDetached: nothing of us may reach the child, or end with us.
func checkDetached(t *testing.T, pid int) {
	t.Helper()
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("pid %d is of session %d, %v; want one of its own", pid, sid, err)
	}
	for fd, want := range []string{"/dev/null", "/run/dovesnap/", "/run/dovesnap/"} {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("pid %d: descriptor %d is %q, %v; want %s", pid, fd, got, err, want)
		}
	}
	// The raw system call returns 20 - nice. (The OOM score needs CAP_SYS_RESOURCE,
	// which containers lack.)
	if prio, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || prio != 30 {
		t.Errorf("pid %d: priority %d, %v; want nice -10", pid, 20-prio, err)
	}
	var files unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &files); err != nil || files.Cur != files.Max {
		t.Errorf("pid %d: %+v open files, %v; want all that is allowed", pid, files, err)
	}
}

// The daemon dies without a word, as by kill -9 or the OOM killer, and its run
// directory is emptied as well: still nothing is doubled or lost.
func TestAdoptAfterKill(t *testing.T) {
	const helper = "DOVESNAP_TEST_HELPER"
	if os.Getenv(helper) != "" {
		r := start(t, quick())
		r.awaitReady()
		fmt.Println("helper is ready")
		<-r.done // until killed
	}
	if !isolated(t) {
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said := make([]byte, len("helper is ready"))
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "helper is ready" {
		t.Fatalf("helper said %q, %v", said, err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed, as asked
	db, vs := alive(ovsdbServer), alive(ovsVswitchd)
	if len(db) != 1 || len(vs) != 1 {
		t.Fatalf("after the kill there are ovsdb-server %v, ovs-vswitchd %v", db, vs)
	}

	r := start(t, quick())
	r.awaitReady()
	if r.pid(ovsdbServer) != db[0] || r.pid(ovsVswitchd) != vs[0] {
		t.Errorf("not adopted: %+v", r.Status())
	}
	must(t, unix.Kill(vs[0], unix.SIGSEGV))
	r.awaitReplaced(ovsVswitchd, vs[0])
	r.stop()

	old := append(alive(ovsdbServer), alive(ovsVswitchd)...)
	must(t, os.RemoveAll("/run/openvswitch"))
	must(t, os.RemoveAll("/run/dovesnap"))
	r = start(t, quick())
	r.awaitReady()
	now := append(alive(ovsdbServer), alive(ovsVswitchd)...)
	if len(now) != 2 || slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) }) {
		t.Errorf("unreachable pids %v, then %v; want each replaced", old, now)
	}
	sh(t, "ovs-vsctl", "--timeout=5", "show")
}

func TestFlowsSurvive(t *testing.T) {
	if !isolated(t) {
		return
	}
	r := start(t, quick())
	r.awaitReady()
	addBridge := func(name, dpid, mark string) {
		sh(t, "ovs-vsctl", "--timeout=10", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev",
			"fail_mode=secure", "protocols=OpenFlow13", "other_config:datapath-id="+dpid, "external_ids:"+mark)
	}
	addBridge("ours", "0000000000000001", "dovesnap-network=abc")
	addBridge("theirs", "0000000000000002", "of=somebody")
	ofctl := func(args ...string) string {
		return sh(t, "ovs-ofctl", append([]string{"-O", "OpenFlow13"}, args...)...)
	}
	ofctl("add-meter", "ours", "meter=1,kbps,burst,band=type=drop,rate=1000,burst_size=100")
	ofctl("add-group", "ours", "group_id=5,type=all,bucket=actions=output:1,bucket=actions=output:2")
	ofctl("add-flow", "ours", "priority=7,cookie=0x55,in_port=2,actions=meter:1,group:5")
	ofctl("add-flow", "ours", "priority=1,cookie=0x55,actions=goto_table:1")
	ofctl("add-flow", "ours", "table=1,priority=8,idle_timeout=300,dl_type=0x0800,nw_dst=10.0.0.0/8,actions=output:3")
	ofctl("add-flow", "theirs", "priority=1,actions=NORMAL")
	dump := func() string { return ofctl("dump-flows", "--no-names", "--no-stats", "ours") }
	flows := dump()

	file := "/run/dovesnap/flows/ours"
	eventually(t, "the flows are saved", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && strings.Count(string(b), "\nflow add ") == 3
	})
	saved, err := os.ReadFile(file)
	must(t, err)
	want := `# dovesnap flows of bridge=ours datapath-id=0000000000000001 fail-mode=secure
# meter meter=1 kbps burst bands= type=drop rate=1000 burst_size=100
flow delete
group delete
group add group_id=5,type=all,bucket=actions=output:1,bucket=actions=output:2
flow add cookie=0x55, priority=1 actions=goto_table:1
flow add cookie=0x55, priority=7,in_port=2 actions=meter:1,group:5
flow add table=1, idle_timeout=300, priority=8,ip,nw_dst=10.0.0.0/8 actions=output:3
`
	if string(saved) != want {
		t.Errorf("saved\n%swant\n%s", saved, want)
	}

	waiting := func() string {
		return sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "other_config")
	}
	vs := r.pid(ovsVswitchd)
	for range 2 { // the restored flows are saved and restored again
		must(t, unix.Kill(vs, unix.SIGKILL))
		vs = r.awaitReplaced(ovsVswitchd, vs)
		if got := dump(); got != flows {
			t.Errorf("flows after the restart\n%s\nbefore\n%s", got, flows)
		}
		if got := ofctl("dump-flows", "--no-stats", "theirs"); got != "" {
			t.Errorf("flows of a bridge of somebody else: %s", got)
		}
		if got := waiting(); strings.Contains(got, restoreWait) {
			t.Errorf("other_config is %s", got)
		}
	}

	// A dovesnap died in the middle of a restore: the next one ends it.
	r.stop()
	sh(t, "ovs-vsctl", "--timeout=5", "set", "Open_vSwitch", ".", "other_config:"+restoreWait+"=true")
	r = start(t, quick())
	r.awaitReady()
	if got := waiting(); strings.Contains(got, restoreWait) {
		t.Errorf("adopted with other_config %s", got)
	}

	// Another switch by the same name does not get them.
	sh(t, "ovs-vsctl", "--timeout=10", "set", "bridge", "ours", "other_config:datapath-id=0000000000000003")
	ofctl("del-flows", "ours")
	eventually(t, "the empty switch is saved", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && !strings.Contains(string(b), "flow add") && strings.Contains(string(b), "datapath-id=0000000000000003")
	})
	vs = r.pid(ovsVswitchd)
	r.stop()
	must(t, os.WriteFile(file, saved, 0o600))
	// A flag left behind, and nothing that could be restored: it must go.
	sh(t, "ovs-vsctl", "--timeout=5", "set", "Open_vSwitch", ".", "other_config:"+restoreWait+"=true")
	must(t, unix.Kill(vs, unix.SIGKILL))
	eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
	r = start(t, quick())
	r.awaitReady()
	if got := dump(); got != "" {
		t.Errorf("a switch with another datapath-id got the flows\n%s", got)
	}
	if got := waiting(); strings.Contains(got, restoreWait) {
		t.Errorf("cold start with other_config %s", got)
	}

	// Flows that cannot be restored do not keep the switch waiting.
	bad := strings.Replace(string(saved), "datapath-id=0000000000000001", "datapath-id=0000000000000003", 1)
	bad = strings.Replace(bad, "goto_table:1", "nonsense", 1)
	vs = r.pid(ovsVswitchd)
	r.stop()
	must(t, os.WriteFile(file, []byte(bad), 0o600))
	must(t, unix.Kill(vs, unix.SIGKILL))
	eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
	r = start(t, quick())
	r.awaitReady()
	if !strings.Contains(r.log.String(), "cannot restore all flows") || strings.Contains(waiting(), restoreWait) {
		t.Errorf("other_config is %s", waiting())
	}

	// From here on with flows that fit.
	good := strings.Replace(string(saved), "datapath-id=0000000000000001", "datapath-id=0000000000000003", 1)
	crashed := func(cfg Config, age time.Duration) {
		t.Helper()
		vs := r.pid(ovsVswitchd)
		r.stop()
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(good), 0o600))
		must(t, os.Chtimes(file, time.Now(), time.Now().Add(-age)))
		must(t, unix.Kill(vs, unix.SIGKILL))
		eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
		r = start(t, cfg)
		r.awaitReady()
		if got := waiting(); strings.Contains(got, restoreWait) {
			t.Errorf("other_config is %s", got)
		}
	}
	crashed(quick(), time.Minute)
	if got := dump(); got != flows {
		t.Errorf("flows of a minute ago were not restored:\n%s", got)
	}
	eventually(t, "the snapshot's age is not by the clock", func() bool {
		st, err := os.Stat(file)
		return err == nil && time.Duration(st.ModTime().UnixNano()) <= sinceBoot()
	})
	crashed(quick(), time.Hour)
	if got := dump(); got != "" {
		t.Errorf("flows of an hour ago were restored:\n%s", got)
	}
	late := quick()
	late.RestoreWithin = time.Nanosecond
	crashed(late, 0)
	if got := dump(); got != "" || !strings.Contains(r.log.String(), "gave up restoring flows") {
		t.Errorf("restored after the deadline:\n%s", got)
	}

	// Flows that ovs-vswitchd dies of are not tried twice.
	real, err := r.cfg.tool(ovsVswitchd)
	must(t, err)
	fragile := quick()
	fragile.BinDirs = []string{t.TempDir()}
	must(t, os.WriteFile(filepath.Join(fragile.BinDirs[0], ovsVswitchd), []byte(`#!/bin/sh
ovs-vsctl --timeout=5 --no-wait get Open_vSwitch . other_config | grep -q `+restoreWait+` && exit 9
exec `+real+` "$@"
`), 0o755))
	crashed(fragile, 0)
	if got := dump(); got != "" || !strings.Contains(r.log.String(), "starting it without them") {
		t.Errorf("flows that kill were restored:\n%s", got)
	}

	sh(t, "ovs-vsctl", "--timeout=10", "del-br", "ours")
	eventually(t, "the file of a deleted bridge goes", func() bool { _, err := os.Stat(file); return os.IsNotExist(err) })
}

// TestSettings: what was not there before dovesnap can be taken back, and only that.
func TestSettings(t *testing.T) {
	if !isolated(t) {
		return
	}
	r := start(t, quick())
	r.awaitReady()
	settings := func() string {
		return sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "other_config")
	}
	if got := strings.TrimSpace(settings()); got != "{userspace-tso-enable=\"true\"}" {
		t.Errorf("other_config is %s", got)
	}
	for range 2 {
		must(t, r.RemoveSettings(t.Context()))
		if got := strings.TrimSpace(settings()); got != "{}" {
			t.Errorf("other_config is %s", got)
		}
	}
	if got := sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "external_ids"); strings.Contains(got, "dovesnap") {
		t.Errorf("external_ids are %s", got)
	}
	// Now it is somebody else's.
	sh(t, "ovs-vsctl", "--timeout=5", "set", "Open_vSwitch", ".", "other_config:userspace-tso-enable=true")
	vs := r.pid(ovsVswitchd)
	must(t, unix.Kill(vs, unix.SIGKILL))
	r.awaitReplaced(ovsVswitchd, vs)
	must(t, r.RemoveSettings(t.Context()))
	if got := strings.TrimSpace(settings()); got != "{userspace-tso-enable=\"true\"}" {
		t.Errorf("other_config is %s", got)
	}
}

// TestIdentity: in a database that somebody else made, what tells this installation
// from others stays, and rundir, which clients go by, is true.
func TestIdentity(t *testing.T) {
	if !isolated(t) {
		return
	}
	cfg, err := quick().withDefaults()
	must(t, err)
	fill(t, cfg)
	_, err = cfg.run(t.Context(), "", "ovsdb-tool", "transact", cfg.database(), `["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],
		"row":{"external_ids":["map",[["hostname","theirs"],["ovn-remote","theirs"],["rundir","/elsewhere"],["system-id","theirs"]]]}}]`)
	must(t, err)
	for range 2 {
		r := start(t, quick())
		r.awaitReady()
		must(t, r.RemoveSettings(t.Context()))
		want := `{hostname=theirs, ovn-remote=theirs, rundir="/run/openvswitch", system-id=theirs}`
		if got := sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "external_ids"); got != want {
			t.Errorf("external_ids are %s, want %s", got, want)
		}
		r.stop()
		must(t, Down(t.Context(), quick(), slog.New(slog.DiscardHandler)))
	}
}

// foreign starts an Open vSwitch as a distribution would: not ours.
func foreign(t *testing.T) (stop func()) {
	t.Helper()
	cfg, err := quick().withDefaults()
	must(t, err)
	must(t, os.MkdirAll(cfg.RunDir, 0o755))
	if _, err := os.Stat(cfg.database()); os.IsNotExist(err) {
		must(t, cfg.create(t.Context(), cfg.database()))
	}
	run := func(name string, args ...string) *exec.Cmd {
		path, err := cfg.tool(name)
		must(t, err)
		cmd := exec.Command(path, append(args, "--pidfile", "-vconsole:off", "-vsyslog:off")...)
		must(t, cmd.Start())
		return cmd
	}
	db := run(ovsdbServer, cfg.database(), "--remote=punix:"+cfg.socket())
	eventually(t, "the foreign ovsdb-server answers", func() bool { return cfg.answers(t.Context()) == nil })
	sh(t, "ovs-vsctl", "--no-wait", "init")
	vs := run(ovsVswitchd)
	sh(t, "ovs-vsctl", "--timeout=20", "--", "set", "Open_vSwitch", ".", "external_ids:of=somebody")
	return func() {
		for _, cmd := range []*exec.Cmd{vs, db} {
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed, as asked
		}
	}
}

func TestAttach(t *testing.T) {
	if !isolated(t) {
		return
	}
	log := slog.New(slog.DiscardHandler)
	stop := foreign(t)
	dump := func() string { return sh(t, "ovsdb-client", "dump", "Open_vSwitch") }
	before := dump()
	db, vs := alive(ovsdbServer), alive(ovsVswitchd)

	managed := quick()
	managed.Mode = Manage
	s, err := New(managed, log)
	must(t, err)
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "was not started by dovesnap") {
		t.Errorf("managed beside a foreign Open vSwitch: %v", err)
	}
	if err := Down(t.Context(), quick(), log); err == nil || !strings.Contains(err.Error(), "was not started by dovesnap") {
		t.Errorf("Down of a foreign Open vSwitch: %v", err)
	}

	r := start(t, quick()) // auto
	<-r.Decided()
	if st := r.Status(); st.Mode != Attached || st.Datapath == "" {
		t.Errorf("decided, and the status is %+v", st)
	}
	r.awaitReady()
	if st := r.Status(); st.Mode != Attached || st.UserspaceTSO || r.pid(ovsdbServer) != db[0] || r.pid(ovsVswitchd) != vs[0] {
		t.Errorf("status %+v", st)
	}
	stop()
	eventually(t, "the end of Open vSwitch is seen", func() bool { return r.child(ovsdbServer).State == Stopped })
	if left := append(alive(ovsdbServer), alive(ovsVswitchd)...); len(left) > 0 {
		t.Errorf("attach mode started pids %v", left)
	}
	stop = foreign(t)
	r.awaitReplaced(ovsVswitchd, vs[0])
	if got := r.child(ovsVswitchd).Restarts; got != 1 {
		t.Errorf("counted %d restarts, want 1", got)
	}
	r.stop()
	if after := dump(); after != before {
		t.Errorf("the database changed\nfrom\n%s\nto\n%s", before, after)
	}

	// Attach waits for what is not there yet.
	stop()
	attach := quick()
	attach.Mode = Attach
	r = start(t, attach)
	eventually(t, "it waits", func() bool { return strings.Contains(r.log.String(), "waiting for Open vSwitch") })
	foreign(t)
	r.awaitReady()
}

// An Open vSwitch with other directories in our network namespace: the two
// would delete each other's ports.
func TestStranger(t *testing.T) {
	if !isolated(t) {
		return
	}
	elsewhere := Config{RunDir: "/run/elsewhere", DBDir: "/run/elsewhere/db", StateDir: "/run/elsewhere/state", ProbeEvery: 200 * time.Millisecond}
	r := start(t, quick())
	r.awaitReady()
	other, err := New(elsewhere, slog.New(slog.DiscardHandler))
	must(t, err)
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "of another installation runs in this network namespace") {
		t.Errorf("managed beside a stranger: %v", err)
	}
	cfg, err := elsewhere.withDefaults()
	must(t, err)
	must(t, os.MkdirAll(cfg.StateDir, 0o755))
	argv, err := cfg.argv(ovsVswitchd, "unix:"+cfg.socket())
	must(t, err)
	p, err := cfg.launch(ovsVswitchd, argv)
	must(t, err)
	eventually(t, "the conflict is reported", func() bool {
		return strings.Contains(r.Status().Conflict, fmt.Sprintf("another ovs-vswitchd (pid %d)", p.PID()))
	})
	must(t, p.Tell(t.Context(), sigKill))
	eventually(t, "its end too", func() bool { return r.Status().Conflict == "" })
}

// A child that cannot start is reported with its own words, and tried again.
func TestStartFailure(t *testing.T) {
	if !isolated(t) {
		return
	}
	broken := filepath.Join(t.TempDir(), ovsdbServer)
	must(t, os.WriteFile(broken, []byte("#!/bin/sh\necho cannot do it >&2\nexit 3\n"), 0o755))
	cfg := quick()
	cfg.BinDirs = []string{filepath.Dir(broken)}
	r := start(t, cfg)
	eventually(t, "the failure is shown, and tried again", func() bool {
		db := r.child(ovsdbServer)
		return db.Restarts >= 2 && r.child(ovsVswitchd).State == Stopped && strings.HasSuffix(db.LastError, "exited with status 3; it said: cannot do it")
	})
	must(t, os.Remove(broken))
	r.awaitReady()

	// One that lives without serving: its status must say so.
	db := r.pid(ovsdbServer)
	r.stop()
	must(t, unix.Kill(db, unix.SIGKILL))
	eventually(t, "ovsdb-server is gone", func() bool { return len(alive(ovsdbServer)) == 0 })
	must(t, os.Remove("/run/openvswitch/db.sock"))
	must(t, os.MkdirAll("/run/openvswitch/db.sock/in-the-way", 0o755))
	cfg.StartTimeout = 2 * time.Second
	r = start(t, cfg)
	eventually(t, "it is shown as not ready", func() bool {
		return strings.Contains(r.child(ovsdbServer).LastError, "ovsdb-server is not ready yet")
	})
	eventually(t, "it is started again", func() bool { return r.child(ovsdbServer).Restarts > 0 })
	must(t, os.RemoveAll("/run/openvswitch/db.sock"))
	r.awaitReady()
}

func TestNotInstalled(t *testing.T) {
	if !isolated(t) {
		return
	}
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"} {
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	}
	t.Setenv("PATH", "/usr/bin")
	s, err := New(quick(), slog.New(slog.DiscardHandler))
	must(t, err)
	want := "cannot find ovsdb-server: install Open vSwitch (Debian: apt install openvswitch-switch)"
	if err := s.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
