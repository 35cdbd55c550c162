// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"
)

func TestConfigDefaults(t *testing.T) {
	cfg, err := Config{}.withDefaults()
	if err != nil || cfg.Mode != Auto || cfg.socket() != "/run/openvswitch/db.sock" || cfg.database() != "/etc/openvswitch/conf.db" {
		t.Errorf("defaults %+v, %v", cfg, err)
	}
	for _, bad := range []Config{{Mode: "manged"}, {RunDir: "run"}, {StateDir: "./x"}} {
		if _, err := New(bad, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	write := func(s string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		must(t, err)
		_, err = f.WriteString(s)
		must(t, err)
		must(t, f.Close())
	}
	var log bytes.Buffer
	write("00001|old|ERR|said to the dovesnap before us\n")
	tail := newTail(path, 120, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})))
	write("00002|bridge|INFO|one\n00003|rconn|WARN|t")
	tail.read(t.Context())
	write("wo | with bar\n00004|x|DBG|three\n")
	tail.read(t.Context())
	write("ovs-vswitchd: unknown option\n00005|x|EMER|four\n")
	tail.read(t.Context())
	if st, err := os.Stat(path); err != nil || st.Size() != 0 {
		t.Errorf("the file was not emptied beyond its limit: %v, %v", st, err)
	}
	write("00006|x|ERR|five\n")
	tail.read(t.Context())
	must(t, os.Remove(path))
	tail.read(t.Context())
	write("00007|x|INFO|6\n")
	tail.read(t.Context())
	want := `level=INFO msg="bridge: one"
level=WARN msg="rconn: two | with bar"
level=DEBUG msg="x: three"
level=WARN msg="ovs-vswitchd: unknown option"
level=ERROR msg="x: four"
level=ERROR msg="x: five"
level=INFO msg="x: 6"
`
	if log.String() != want {
		t.Errorf("got\n%swant\n%s", &log, want)
	}
}

func TestLastWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	before := "00001|x|ERR|of the run before\n"
	must(t, os.WriteFile(path, []byte(before+"00001|x|INFO|chatter\n00002|a|WARN|first\nplain words\n"), 0o640))
	if got, want := lastWords(path, int64(len(before))), "a: first; plain words"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := lastWords(path+"-missing", 0); got != "" {
		t.Errorf("got %q of a missing file", got)
	}
}

func TestLag(t *testing.T) {
	var l lag
	at := time.Unix(0, 0)
	for i, step := range []struct {
		after         time.Duration
		current, next int
		ok            bool
	}{
		{0, 5, 5, true},
		{time.Hour, 5, 6, true}, // asked only just
		{9 * time.Second, 5, 7, true},
		{9 * time.Second, 6, 9, true}, // late, but it moves
		{9 * time.Second, 6, 9, true},
		{2 * time.Second, 6, 9, false},
		{time.Second, 9, 9, true},
	} {
		at = at.Add(step.after)
		err := l.check(root{current: step.current, next: step.next}, at, 10*time.Second)
		if (err == nil) != step.ok {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestLostPorts(t *testing.T) {
	rows := func(ofports ...any) (list []ovsdb.Row) {
		for _, n := range ofports {
			list = append(list, ovsdb.Row{"ofport": n})
		}
		return list
	}
	const fine, doubtful, certain = 0, 1, 2
	type step struct {
		rows     []ovsdb.Row
		datapath bool
		want     int
	}
	started, found := vswitchd{portless: true}, vswitchd{}
	for name, test := range map[string]struct {
		v     vswitchd
		steps []step
	}{
		"the kernel's": {started, []step{
			{rows(-1.0), false, fine}, // never came up: a bad row
			{rows(65534.0, -1.0), true, fine},
			{nil, false, fine}, // no bridges any more
			{rows(-1.0), false, fine},
			{rows(65534.0), true, fine},
			{rows(-1.0, ovsdb.OvsSet{}), false, doubtful}, // one is being made
			{rows(-1.0, -1.0), true, doubtful},
			{rows(-1.0, -1.0), false, certain},
		}},
		"userspace": {started, []step{
			{rows(65534.0), false, fine},
			{rows(-1.0), false, doubtful},
		}},
		// It was lost while no dovesnap ran.
		"found": {found, []step{{rows(-1.0), false, doubtful}}},
		"found without bridges": {found, []step{
			{nil, false, fine},
			{rows(-1.0), false, fine},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, step := range test.steps {
				got := fine
				switch err := test.v.checkPorts(step.rows, step.datapath); {
				case errors.As(err, new(hopeless)):
					got = certain
				case err != nil:
					got = doubtful
				}
				if got != step.want {
					t.Errorf("step %d: %d, want %d", i, got, step.want)
				}
			}
		})
	}
}

func TestMeterLines(t *testing.T) {
	dump := "OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\nmeter=1 kbps burst bands=\ntype=drop rate=1000 burst_size=100\n\nmeter=2 pktps bands=\ntype=drop rate=5\ntype=dscp_remark rate=3\n"
	want := []string{"meter=1 kbps burst bands= type=drop rate=1000 burst_size=100", "meter=2 pktps bands= type=drop rate=5 type=dscp_remark rate=3"}
	if got := meterLines(dump); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSystemIDIsKept(t *testing.T) {
	cfg := Config{DBDir: t.TempDir()}
	path := filepath.Join(cfg.DBDir, "system-id.conf")
	first, err := cfg.systemID("")
	must(t, err)
	again, err := cfg.systemID("another")
	must(t, err)
	if len(first) != 36 || again != first {
		t.Errorf("first %q, then %q", first, again)
	}
	must(t, os.Remove(path))
	if got, err := cfg.systemID("of-the-database"); err != nil || got != "of-the-database" {
		t.Errorf("got %q, %v; want what the database knows", got, err)
	}
}

func TestRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os-release")
	must(t, os.WriteFile(path, []byte("NAME=\"X\"\nID=debian\nVERSION_ID=\"12\"\n"), 0o644))
	if name, version := release(path); name+" "+version != "debian 12" {
		t.Errorf("got %s %s", name, version)
	}
	if name, version := release(path + "-missing"); name+" "+version != "unknown unknown" {
		t.Errorf("got %s %s", name, version)
	}
}

func TestLockAndForeignPidfile(t *testing.T) {
	cfg := testConfig(t)
	must(t, os.MkdirAll(cfg.RunDir, 0o755))
	unlock, err := cfg.lock()
	must(t, err)
	if _, err := cfg.lock(); err == nil || !strings.Contains(err.Error(), "another dovesnap") {
		t.Errorf("second lock: %v", err)
	}
	unlock()
	unlock, err = cfg.lock()
	must(t, err)
	unlock()

	// A pidfile without a lock proves nothing, though its pid lives.
	must(t, os.WriteFile(cfg.pidFile(ovsdbServer), fmt.Appendln(nil, os.Getpid()), 0o644))
	if pid, err := lockOwner(cfg.pidFile(ovsdbServer)); pid != 0 || err != nil {
		t.Errorf("owner %d, %v; want none", pid, err)
	}
}

// A process that is stopped has no more turns, and one that goes on has.
func TestTurns(t *testing.T) {
	launch := func() (*exec.Cmd, *proc) {
		cmd := exec.Command("sh", "-c", "while sleep 0.01; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd, &proc{pid: cmd.Process.Pid}
	}
	grows := func(p *proc, by int) {
		for before := p.Turns(); p.Turns() < before+by; {
			runtime.Gosched()
		}
	}
	cmd, p := launch()
	_, other := launch()
	grows(p, 1)
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Only the parent is told when it has stopped.
	if _, err := unix.Wait4(p.pid, nil, unix.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	before := p.Turns()
	grows(other, 5)
	if now := p.Turns(); now != before {
		t.Errorf("a stopped process went on from turn %d to %d", before, now)
	}
	if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	grows(p, 1)
}
