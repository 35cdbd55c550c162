// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestDeliver(t *testing.T) {
	f, cfg := newFake(t)
	c, _ := start(t, cfg)
	n := network("a", nil)
	plain, own := container(n, 1, nil), container(n, 2, acl("office"))
	s := state([]spec.Network{n}, plain)
	c.Want(s, nil)
	await(t, "delivery", c, func() bool { return c.Status().Delivered })
	if got := read(t, f.file); !strings.Contains(got, "net-a:") {
		t.Errorf("wrote %s", got)
	}
	if info, err := os.Stat(f.file); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if c.Status().Confirmed {
		t.Error("confirmed before Faucet has loaded it")
	}
	if !c.Settled(n, plain) {
		t.Error("a port that Faucet can only have as it is wanted is not settled")
	}
	f.load()
	await(t, "confirmation", c, confirmed(c))

	// Its own ACL, from what is known until Faucet has it.
	s = state([]spec.Network{n}, plain, own)
	if c.Settled(n, own) {
		t.Error("settled with another ACL in force")
	}
	c.Want(s, nil)
	await(t, "delivery", c, func() bool { return strings.Contains(read(t, f.file), "endpoint 000000000002") })
	if got := settled(c, s); got != "1:true 2:false" {
		t.Errorf("delivered: %s", got)
	}
	f.load()
	await(t, "confirmation", c, func() bool { return settled(c, s) == "1:true 2:true" })

	// And back: the next container on that port has no ACL of its own.
	next := container(n, 2, func(e *spec.Endpoint) { e.ID = "feed" + e.ID[4:] })
	s = state([]spec.Network{n}, plain, next)
	c.Want(s, nil)
	if c.Settled(n, next) {
		t.Error("settled with the ACL of the one before")
	}
	await(t, "delivery", c, func() bool { return c.Status().Delivered && !strings.Contains(read(t, f.file), "endpoint") })
	if c.Settled(n, next) {
		t.Error("settled with the ACL of the one before still in force")
	}
	f.load()
	await(t, "settled", c, func() bool { return c.Settled(n, next) })
	if len(c.Problems()) > 0 {
		t.Error(c.Problems())
	}
}

func TestNothingBeforeTheFirstWant(t *testing.T) {
	f, cfg := newFake(t)
	before := render(Wanted{State: state([]spec.Network{network("a", nil)})}, operator(t, operatorFile)).String()
	write(t, f.file, before)
	f.load()
	c, _ := start(t, cfg)
	await(t, "two looks at Faucet", c, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.scrapes > 0 })
	if read(t, f.file) != before {
		t.Error("the file was written before anything was wanted")
	}
	c.Want(state([]spec.Network{network("a", nil)}), nil)
	await(t, "confirmation", c, confirmed(c))
	if read(t, f.file) != before {
		t.Error("the same text was not recognised")
	}
}

// TestRestart lets a Courier find what another left, loaded or not.
func TestRestart(t *testing.T) {
	for _, loaded := range []bool{true, false} {
		f, cfg := newFake(t)
		n := network("a", nil)
		e := container(n, 1, acl("office"))
		s := state([]spec.Network{n}, e)
		c, stop := start(t, cfg)
		c.Want(state([]spec.Network{n}), nil)
		await(t, "delivery", c, func() bool { return c.Status().Delivered })
		f.load()
		await(t, "confirmation", c, confirmed(c))
		c.Want(s, nil)
		await(t, "delivery", c, func() bool { return strings.Contains(read(t, f.file), "office") })
		if loaded {
			f.load()
			await(t, "confirmation", c, confirmed(c))
		}
		stop()
		f.set(func(f *fakeFaucet) { f.stopped = true })

		c, _ = start(t, cfg)
		c.Want(s, nil)
		await(t, "the stored state", c, func() bool { return c.Status().Delivered })
		if got := c.Settled(n, e); got != loaded {
			t.Errorf("Faucet had loaded: %t; after a restart, settled: %t", loaded, got)
		}
		f.set(func(f *fakeFaucet) { f.stopped, f.auto = false, true })
		await(t, "confirmation", c, confirmed(c))
		if !c.Settled(n, e) {
			t.Error("confirmed, but not settled")
		}
		if _, err := os.Stat(cfg.State); err == nil {
			t.Error("what is in force is no longer open, but still stored")
		}
	}
}

func TestDownForLong(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.stopped = true })
	c, _ := start(t, cfg)
	n := network("a", nil)
	var s spec.State
	for i := range 40 {
		e := container(n, spec.OFPort(i+1), acl("office"))
		s = state([]spec.Network{n}, e, container(n, 50, nil))
		c.Want(s, nil)
		await(t, "delivery", c, func() bool {
			text, _ := os.ReadFile(f.file)
			return strings.Contains(string(text), "endpoint "+e.ID.Short())
		})
	}
	if got := settled(c, s); got != "40:false 50:true" {
		t.Errorf("down: %s", got)
	}
	c.mu.Lock()
	if kept := len(c.force.versions); kept > maxVersions {
		t.Errorf("%d versions are kept", kept)
	}
	c.mu.Unlock()
	f.set(func(f *fakeFaucet) { f.stopped, f.auto = false, true })
	await(t, "confirmation", c, confirmed(c))
	if got := settled(c, s); got != "40:true 50:true" {
		t.Errorf("up: %s", got)
	}
}

func TestRefusedByFaucet(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) {
		f.auto = true
		f.refuse = func(text string) string {
			if strings.Contains(text, "guest") {
				return `DP net-a: I "dislike"\it`
			}
			return ""
		}
	})
	c, _ := start(t, cfg)
	n := network("a", nil)
	s := state([]spec.Network{n}, container(n, 1, acl("guest")))
	c.Want(s, nil)
	await(t, "the refusal", c, func() bool {
		return c.Problems()["faucet"] == `Faucet refuses its configuration: DP net-a: I "dislike"\it`
	})
	if got := settled(c, s); got != "1:true" { // it's unknown to Faucet, or as wanted
		t.Errorf("refused: %s", got)
	}
	if st := c.Status(); st.Confirmed || !st.Delivered || st.LastError == "" {
		t.Errorf("%+v", st)
	}
	s = state([]spec.Network{n}, container(n, 1, nil))
	c.Want(s, nil)
	await(t, "recovery", c, confirmed(c))
	await(t, "no problems", c, func() bool { return len(c.Problems()) == 0 })
}

func TestOperatorMends(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.auto = true })
	c, _ := start(t, cfg)
	n := network("a", nil)
	e := container(n, 1, acl("lab"))
	c.Want(state([]spec.Network{n}, e), nil)
	await(t, "confirmation", c, confirmed(c))
	want := `faucet.yaml has no ACL "lab": it defines 101, desk, guest, lobby, office`
	if err := c.Refused(n, e); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("refused: %v", err)
	}
	if got := c.Problems()["endpoint "+e.ID.Short()]; !strings.Contains(got, want) {
		t.Errorf("problems: %v", c.Problems())
	}
	if !strings.Contains(read(t, f.file), "- dovesnap-deny\n    inter") {
		t.Errorf("the port is not closed: %s", read(t, f.file))
	}
	write(t, f.config, strings.Replace(operatorFile, "acls:\n", "acls:\n  lab: [{rule: {actions: {allow: 1}}}]\n", 1))
	await(t, "the ACL", c, func() bool { return c.Refused(n, e) == nil && strings.Contains(read(t, f.file), "- lab") })
	await(t, "confirmation", c, confirmed(c))
	if !c.Settled(n, e) || len(c.Problems()) > 0 {
		t.Errorf("settled %t, problems %v", c.Settled(n, e), c.Problems())
	}

	write(t, f.config, "acls: [")
	c.Want(state([]spec.Network{n}), nil)
	await(t, "the problem", c, func() bool { return strings.Contains(c.Problems()["faucet"], "cannot read Faucet's configuration") })
	write(t, f.config, operatorFile)
	await(t, "the end of it", c, func() bool { return len(c.Problems()) == 0 && c.Status().Confirmed })
}

func TestDrift(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.auto = true })
	c, _ := start(t, cfg)
	n := network("a", nil)
	s := state([]spec.Network{n}, container(n, 1, nil))
	c.Want(s, nil)
	await(t, "confirmation", c, confirmed(c))
	text := read(t, f.file)
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	c.Want(s.Clone(), nil) // any reason to look
	await(t, "the file", c, func() bool { now, _ := os.ReadFile(f.file); return string(now) == text })
}

func TestNotIncluded(t *testing.T) {
	f, cfg := newFake(t)
	write(t, f.config, "dps: {x: {dp_id: 1, interfaces: {1: {native_vlan: 1}}}}\n")
	c, _ := start(t, cfg)
	c.Want(spec.NewState(), nil)
	await(t, "delivery", c, func() bool { return c.Status().Delivered })
	if len(c.Problems()) > 0 {
		t.Error("a problem while there is no network:", c.Problems())
	}
	c.Want(state([]spec.Network{network("a", nil)}), nil)
	await(t, "the problem", c, func() bool {
		return strings.HasSuffix(c.Problems()["faucet"], "faucet.yaml does not include "+cfg.File+": run `dovesnap faucet init`")
	})
}

func TestCannotWrite(t *testing.T) {
	f, cfg := newFake(t)
	cfg.File = filepath.Join(filepath.Dir(f.file), "missing", "dovesnap.yaml")
	c, _ := start(t, cfg)
	c.Want(state([]spec.Network{network("a", nil)}), nil)
	want := `cannot write "` + cfg.File + `": no such file or directory`
	await(t, "the problem", c, func() bool { return c.Problems()["faucet"] == want })
	if err := os.Mkdir(filepath.Dir(cfg.File), 0o755); err != nil {
		t.Fatal(err)
	}
	await(t, "delivery", c, func() bool { return c.Status().Delivered })
}

// An operator's file that is not there is not said to lack a line.
func TestOperatorsFileMissing(t *testing.T) {
	dir := t.TempDir()
	b := newFileBackend(FileConfig{Config: filepath.Join(dir, "faucet.yaml"), File: filepath.Join(dir, "dovesnap.yaml")})
	s, err := b.look(t.Context(), false)
	if want := b.cfg.Config + " does not exist: run `dovesnap faucet init`"; err != nil || s.detached != want {
		t.Errorf("%v, %q", err, s.detached)
	}
}
