// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dovesnap/spec"
)

// The bus is the test's own; firewalld is root and may do anything on it.
const busConfig = `<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>`

// bus starts a system bus for what the test and its children ask.
func bus(t *testing.T) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("needs dbus-daemon (apt install dbus-daemon)")
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "bus.conf"), []byte(fmt.Sprintf(busConfig, dir)), 0o644))
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/bus")
	cmd := child(t, "dbus-daemon", "--config-file="+dir+"/bus.conf", "--nofork", "--nopidfile")
	await(t, func() bool { _, err := os.Stat(dir + "/bus"); return err == nil })
	return cmd
}

// child runs a program in the test's network namespace until the test ends.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir()
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// await asks again and again; the test's own limit is the only one.
func await(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if t.Context().Err() != nil {
			t.Fatal("waited in vain")
		}
	}
}

// startFirewalld starts the real one, with a configuration of its own.
func startFirewalld(t *testing.T) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("firewalld"); err != nil {
		t.Skip("needs firewalld (apt install firewalld)")
	}
	etc := t.TempDir()
	must(t, os.WriteFile(etc+"/firewalld.conf", []byte("DefaultZone=public\n"), 0o644))
	cmd := child(t, "/usr/bin/python3", "/usr/sbin/firewalld", "--nofork", "--nopid", "--system-config", etc, "--log-target", "file", "--log-file", etc+"/log")
	await(t, func() bool { return exec.Command("firewall-cmd", "--state").Run() == nil })
	return cmd
}

func inZone(t *testing.T) string {
	t.Helper()
	out, _ := exec.Command("firewall-cmd", "--zone="+zoneName, "--list-interfaces").CombinedOutput()
	f := strings.Fields(string(out))
	slices.Sort(f)
	return strings.Join(f, " ")
}

// firewalld refuses what is forwarded to an interface in no zone, whatever
// iptables accepts: with the real one, packets must pass, and after its reload
// too.
func TestFirewalld(t *testing.T) {
	newNetns(t)
	bus(t)
	daemon := startFirewalld(t)
	s := newSceneHere(t, "nft", "10.%d.0.%d")
	t.Cleanup(s.Close)
	s.publish(1, dualE, s.web.addr, "tcp 0.0.0.0 8080", "udp 0.0.0.0 8080")
	works := func(when string) {
		t.Helper()
		for _, proto := range []spec.Proto{spec.TCP, spec.UDP} {
			if got, err := s.ask(s.outside, proto, "10.1.0.1:8080"); got != s.outside.addr.String() {
				t.Errorf("%s, %s: %q, %v", when, proto, got, err)
			}
			if got, err := s.ask(s.second, proto, "10.1.0.1:8080"); got != "10.5.0.1" {
				t.Errorf("%s, %s from another network: %q, %v", when, proto, got, err)
			}
		}
	}
	works("at first")
	if got := inZone(t); got != "ovs-9 ovs-e ovs-f" {
		t.Error("in the zone:", got)
	}
	command(t, "firewall-cmd", "--reload")
	await(t, s.changed)
	s.applyAgain()
	works("after a reload")
	await(t, func() bool { return !s.zone.rang.Load() || s.applyAgain() })
	command(t, "firewall-cmd", "--complete-reload")
	await(t, s.changed)
	s.applyAgain()
	works("after a complete reload")

	must(t, daemon.Process.Kill())
	_ = daemon.Wait()
	await(t, s.zone.stale)
	s.applyAgain()
	startFirewalld(t) // with no zone of ours
	await(t, s.zone.stale)
	s.applyAgain()
	works("after a new start")

	s.apply(dualF)
	if got := inZone(t); got != "ovs-f" {
		t.Error("with one network in the zone:", got)
	}
	s.apply()
	if got := inZone(t); got != "" {
		t.Error("without networks in the zone:", got)
	}
	must(t, Cleanup(s.ctx))
	if out := command(t, "firewall-cmd", "--permanent", "--get-zones") + command(t, "firewall-cmd", "--get-policies"); strings.Contains(out, "dovesnap") {
		t.Error("left in firewalld:", out)
	}
}

// applyAgain is what the engine does when Check sees a change.
func (s *scene) applyAgain() bool {
	s.Helper()
	var endpoints []spec.Endpoint
	for _, e := range s.endpoints {
		endpoints = append(endpoints, e)
	}
	must(s, s.Apply(s.ctx, s.nets, endpoints))
	return true
}

// Another zone than ours is the administrator's wish. It is logged once for each
// that he chooses.
func TestFirewalldConflict(t *testing.T) {
	h := newHost(t, "nft")
	bus(t)
	startFirewalld(t)
	t.Cleanup(h.Close)
	var log bytes.Buffer
	h.zone.log = slog.New(slog.NewTextHandler(&log, nil))
	wish := func(args ...string) {
		t.Helper()
		command(t, "firewall-cmd", append(args, "--permanent")...)
		command(t, "firewall-cmd", "--reload")
	}
	want := func(when string, warnings int, zone string) {
		t.Helper()
		h.apply(natA, natB)
		h.apply(natA, natB)
		if got := inZone(t); got != zone {
			t.Errorf("%s: in the zone: %s", when, got)
		}
		if got := strings.Count(log.String(), "level=WARN"); got != warnings {
			t.Errorf("%s: %d warnings, not %d: %s", when, got, warnings, &log)
		}
	}
	wish("--zone=trusted", "--add-interface=ovs-a")
	want("in another zone", 1, "ovs-b")
	wish("--zone=internal", "--change-interface=ovs-a")
	want("in a third one", 2, "ovs-b")
	wish("--zone=internal", "--remove-interface=ovs-a")
	want("in none", 2, "ovs-a ovs-b")
	wish("--zone=internal", "--add-interface=ovs-a")
	want("in another again", 3, "ovs-b")
}

func TestNoFirewalld(t *testing.T) {
	h := newHost(t, "nft")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	h.apply(natA)
	if h.changed() {
		t.Error("Check is not content without a bus")
	}
	bus(t)
	h.apply(natA)
	if h.changed() {
		t.Error("Check is not content without firewalld")
	}
	h.Close()
	must(t, Cleanup(h.ctx))
}

// A bus that accepts and says nothing must not keep the rules from being
// written, nor Cleanup from its end.
func TestBusHangs(t *testing.T) {
	h := newHost(t, "nft")
	path := t.TempDir() + "/bus"
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	h.apply(natA)
	if h.changed() {
		t.Error("Check is not content")
	}
	ctx, cancel := context.WithTimeout(h.ctx, 50*time.Millisecond)
	defer cancel()
	wantError(t, removeZone(ctx), `cannot remove zone "dovesnap" from firewalld: `, "deadline exceeded")
}

// What could not be told while the bus hung is told when it goes on.
func TestBusGoesOn(t *testing.T) {
	h := newHost(t, "nft")
	daemon := bus(t)
	startFirewalld(t)
	t.Cleanup(h.Close)
	h.apply(natA)
	must(t, daemon.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(h.ctx, 100*time.Millisecond)
	defer cancel()
	wantError(t, h.Apply(ctx, nil, nil), "cannot put bridges into firewalld's zone", "deadline exceeded")
	must(t, daemon.Process.Signal(syscall.SIGCONT))
	if !h.changed() {
		t.Error("Check is content")
	}
	h.apply()
	if got := inZone(t); got != "" {
		t.Error("in the zone:", got)
	}
	if h.changed() {
		t.Error("Check sees a change")
	}
}
