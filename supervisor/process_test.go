// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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

	// Deaf when the next one adopts it.
	for _, name := range Names {
		deaf, other := r.pid(name), map[string]string{ovsdbServer: ovsVswitchd, ovsVswitchd: ovsdbServer}[name]
		same := r.pid(other)
		must(t, unix.Kill(deaf, unix.SIGSTOP))
		r.stop()
		r = start(t, quick())
		r.awaitReady()
		if now := r.pid(name); now == 0 || now == deaf || r.pid(other) != same {
			t.Errorf("%s was deaf with pid %d, beside pid %d; now %+v", name, deaf, same, r.Status())
		}
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
