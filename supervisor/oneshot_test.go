// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is also what the units run: $oneshotEnv is "run NAME" or
// "ready NAME".
const oneshotEnv = "DOVESNAP_TEST_ONESHOT"

func TestMain(m *testing.M) {
	verb, name, found := strings.Cut(os.Getenv(oneshotEnv), " ")
	if !found {
		os.Exit(m.Run())
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := error(nil)
	switch verb {
	case "run":
		err = Exec(context.Background(), quick(), name, log)
	case "ready":
		err = AwaitReady(context.Background(), quick(), name, 0, log)
	case "pause":
		err = pauseForEver(name, log)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fakeSystemd is a systemctl that knows the daemons' units well enough: a start
// of one that runs does nothing, and a start returns when the unit is ready.
func fakeSystemd(t *testing.T) (asked func() string, is func(substate string)) {
	t.Helper()
	dir, self := t.TempDir(), executable(t)
	must(t, os.WriteFile(dir+"/systemctl", []byte(`#!/bin/sh
[ "$1" != show ] || { cat `+dir+`/substate 2>/dev/null; exit 0; }
echo "$@" >>`+dir+`/asked
case $2 in
dovesnap-ovsdb.service) name=ovsdb-server ;;
dovesnap-vswitchd.service) name=ovs-vswitchd ;;
esac
pid=$(cat `+dir+`/$name.pid 2>/dev/null)
case $1 in
start) ! kill -0 "$pid" 2>/dev/null || exit 0 ;;
restart) kill -9 "$pid" 2>/dev/null; while kill -0 "$pid" 2>/dev/null; do :; done ;;
esac
`+oneshotEnv+`="run $name" setsid `+self+` >>`+dir+`/$name.log 2>&1 &
echo $! >`+dir+`/$name.pid
`+oneshotEnv+`="ready $name" exec `+self+`
`), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	asked = func() string {
		text, _ := os.ReadFile(dir + "/asked")
		_ = os.Remove(dir + "/asked")
		return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; ")
	}
	return asked, func(substate string) { must(t, os.WriteFile(dir+"/substate", []byte(substate+"\n"), 0o644)) }
}

// executable is a path that another program may use too.
func executable(t *testing.T) string {
	path, err := os.Executable()
	must(t, err)
	return path
}

func TestUnits(t *testing.T) {
	if !isolated(t) {
		return
	}
	asked, is := fakeSystemd(t)
	cfg := quick()
	cfg.Units = true
	r := start(t, cfg)
	r.awaitReady()
	if got, want := asked(), "start dovesnap-ovsdb.service; start dovesnap-vswitchd.service"; got != want {
		t.Errorf("systemctl %s, want %s", got, want)
	}

	flows := addOurs(t)
	before := flows()
	must(t, SaveFlows(t.Context(), cfg, slog.New(slog.DiscardHandler)))

	// It dies: systemd is asked for another, which restores the flows itself.
	// While systemd lets RestartSec= pass, "start" would wait with it.
	vs := r.pid(ovsVswitchd)
	for substate, want := range map[string]string{"failed": "start dovesnap-vswitchd.service", "auto-restart": "restart dovesnap-vswitchd.service"} {
		is(substate)
		must(t, unix.Kill(vs, unix.SIGKILL))
		vs = r.awaitReplaced(ovsVswitchd, vs)
		if got := asked(); got != want {
			t.Errorf("%s: systemctl %s, want %s", substate, got, want)
		}
		if got := flows(); got != before {
			t.Errorf("%s: flows %q, before %q", substate, got, before)
		}
		must(t, SaveFlows(t.Context(), cfg, slog.New(slog.DiscardHandler)))
	}
	is("running")

	// It lives, but its run directory was emptied.
	files, err := filepath.Glob("/run/openvswitch/ovs-vswitchd*")
	must(t, err)
	for _, f := range files {
		must(t, os.Remove(f))
	}
	r.awaitReplaced(ovsVswitchd, vs)
	if got := asked(); !strings.Contains(got, "restart dovesnap-vswitchd.service") && !strings.Contains(got, "start dovesnap-vswitchd.service") {
		t.Errorf("systemctl %s", got)
	}
	r.stop()
}

// TestOneshots runs what the units run, beside a dovesnap that adopts.
func TestOneshots(t *testing.T) {
	if !isolated(t) {
		return
	}
	log := slog.New(slog.DiscardHandler)
	must(t, SaveFlows(t.Context(), quick(), log)) // nothing runs: nothing to save
	if err := Restart(t.Context(), quick(), log); err == nil || !strings.Contains(err.Error(), "cannot restart ovsdb-server: it does not run") {
		t.Errorf("restart of nothing: %v", err)
	}
	attached := quick()
	attached.Mode = Attach
	if err := Exec(t.Context(), attached, ovsdbServer, log); err == nil || !strings.Contains(err.Error(), "ovs.mode is attach") {
		t.Errorf("run in mode attach: %v", err)
	}
	var last int
	for _, name := range Names {
		cmd := exec.Command(executable(t))
		cmd.Env = append(os.Environ(), oneshotEnv+"=run "+name)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		go func() { _ = cmd.Wait() }() // so that it does not stay a zombie when it is killed
		must(t, AwaitReady(t.Context(), quick(), name, cmd.Process.Pid, log))
		last = cmd.Process.Pid
	}
	if err := Restart(t.Context(), quick(), log); err == nil || !strings.Contains(err.Error(), "no dovesnap runs") {
		t.Errorf("restart without a dovesnap: %v", err)
	}

	r := start(t, quick())
	r.awaitReady()
	if r.pid(ovsVswitchd) != last {
		t.Errorf("runs pid %d, and not %d", r.pid(ovsVswitchd), last)
	}
	before := []int{r.pid(ovsdbServer), r.pid(ovsVswitchd)}
	must(t, Restart(t.Context(), quick(), log))
	cfg, err := quick().withDefaults()
	must(t, err)
	for _, name := range Names {
		pid, ours, err := cfg.owner(t.Context(), name)
		if err != nil || !ours || slices.Contains(before, pid) {
			t.Errorf("%s: pid %d, %t, %v; before %v", name, pid, ours, err, before)
		}
	}

	// What ends before it is ready is not waited for.
	r.stop()
	if err := AwaitReady(t.Context(), Config{RunDir: "/run/elsewhere"}, ovsVswitchd, last, log); err == nil || !strings.Contains(err.Error(), "has ended before it was ready") {
		t.Errorf("got %v", err)
	}
}
