// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fillDisk leaves no room beside the database, and none in its last block. What
// ovs-vswitchd is asked meanwhile it sees afterwards.
func fillDisk(t *testing.T, r *running) (free func()) {
	t.Helper()
	const file = "/etc/openvswitch/fill"
	f, err := os.Create(file)
	must(t, err)
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	must(t, f.Close())
	vs := r.pid(ovsVswitchd)
	must(t, unix.Kill(vs, unix.SIGSTOP))
	for err = nil; err == nil; {
		_, err = r.cfg.transact(t.Context(), mutateRoot(ask))
	}
	must(t, unix.Kill(vs, unix.SIGCONT))
	if !unwritable(err) || !strings.HasSuffix(err.Error(), "No space left on device") {
		t.Fatal(err)
	}
	return func() { must(t, os.Remove(file)) }
}

// TestFullDisk has nothing written to the database, and everything go on.
func TestFullDisk(t *testing.T) {
	if !isolated(t) {
		return
	}
	must(t, unix.Mount("tmpfs", "/etc/openvswitch", "tmpfs", 0, "size=512k"))
	cfg := quick()
	cfg.ApplyWithin = time.Second
	r := start(t, cfg)
	r.awaitReady()
	flows := addOurs(t)
	before := flows()
	lag := func() int {
		now, err := r.cfg.root(t.Context())
		must(t, err)
		return now.next - now.current
	}
	// known waits until a probe found all well: it saves the flows.
	known := func() {
		t.Helper()
		began := sinceBoot()
		eventually(t, "the flows are saved again", func() bool {
			st, err := os.Stat("/run/dovesnap/flows/ours")
			return err == nil && st.ModTime().UnixNano() > int64(began)
		})
	}
	known()
	free := fillDisk(t, r)
	db, vs := r.pid(ovsdbServer), r.pid(ovsVswitchd)
	eventually(t, "it is told", func() bool { return strings.Contains(r.log.String(), "cannot be written") })
	known()
	if r.pid(ovsVswitchd) != vs || lag() == 0 {
		t.Errorf("ovs-vswitchd is not at work any more, %d behind: %+v", lag(), r.Status())
	}

	for range 2 {
		must(t, unix.Kill(db, unix.SIGKILL))
		db = r.awaitReplaced(ovsdbServer, db)
		must(t, unix.Kill(vs, unix.SIGKILL))
		vs = r.awaitReplaced(ovsVswitchd, vs)
		if got := flows(); got != before {
			t.Errorf("flows after the restart\n%s\nbefore\n%s", got, before)
		}
		known()
	}
	must(t, Restart(t.Context(), cfg, slog.New(slog.DiscardHandler)))
	eventually(t, "both are ready", func() bool {
		db, vs = r.pid(ovsdbServer), r.pid(ovsVswitchd)
		return db > 0 && vs > 0
	})
	r.stop()
	r = start(t, cfg)
	r.awaitReady()
	known()
	if r.pid(ovsdbServer) != db || r.pid(ovsVswitchd) != vs || flows() != before {
		t.Errorf("not adopted: pids %d and %d, now %+v", db, vs, r.Status())
	}

	free()
	eventually(t, "ovs-vswitchd has caught up", func() bool { return lag() == 0 })
	if r.pid(ovsVswitchd) != vs {
		t.Errorf("ovs-vswitchd was replaced: %+v", r.Status())
	}
	must(t, unix.Kill(vs, unix.SIGKILL))
	r.awaitReplaced(ovsVswitchd, vs)
	if got := flows(); got != before || strings.Contains(r.log.String(), "restart without loss") {
		t.Errorf("flows after the restart\n%s\nbefore\n%s", got, before)
	}
}

// One damaged file is set aside once, however often its repair fails: others stay.
func TestSetAsideOnce(t *testing.T) {
	db := t.TempDir() + "/conf.db"
	log := slog.New(slog.DiscardHandler)
	var first string
	for _, damage := range []string{"one", "two"} {
		must(t, os.WriteFile(db+".new", []byte(damage), 0o640))
		must(t, os.Rename(db+".new", db))
		aside, err := setAside(db, log)
		must(t, err)
		for range 2 * keepCopies {
			again, err := setAside(db, log)
			must(t, err)
			if again != aside {
				t.Errorf("set aside as %s, and again as %s", aside, again)
			}
		}
		if first == "" {
			first = aside
		}
	}
	if text, err := os.ReadFile(first); string(text) != "one" || len(newest(db+".corrupt-*")) != 2 {
		t.Errorf("%s has %q, %v; there are %q", first, text, err, newest(db+".corrupt-*"))
	}
}

func TestUntouched(t *testing.T) {
	for dump, want := range map[string]bool{
		"OFPST_FLOW reply (OF1.3) (xid=0x2):\n":                                                     true,
		"OFPST_FLOW reply (OF1.3) (xid=0x2):\n priority=0 actions=NORMAL\n":                         true,
		"OFPST_FLOW reply (OF1.3) (xid=0x2):\n priority=7 actions=drop\n":                           false,
		"OFPST_FLOW reply (OF1.3) (xid=0x2):\n priority=1 actions=drop\n priority=0 actions=NORMAL": false,
	} {
		if got := untouched(dump); got != want {
			t.Errorf("%q: %t", dump, got)
		}
	}
}
