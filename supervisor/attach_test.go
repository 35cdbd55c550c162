// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

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
