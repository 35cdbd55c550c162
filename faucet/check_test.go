// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovesnap/spec"
)

// withChecker puts a check_faucet_config in front of PATH.
func withChecker(t *testing.T, program string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	write(t, log, "")
	program = "#!/bin/sh\nlog=" + log + "\n" + program
	if err := os.WriteFile(filepath.Join(dir, checker), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func TestCheckRefuses(t *testing.T) {
	log := withChecker(t, `echo x >>$log
f=$(sed -n 's/.*- \(.*dovesnap.yaml\)/\1/p' $1)
cat $f | grep -q net-b && { echo "[InvalidConfigError('bad \"net-b\" in $f, see $1')]"; exit 1; }
exit 0
`)
	f, cfg := newFake(t)
	write(t, f.config, strings.Replace(operatorFile, "[dovesnap.yaml]", "\n  - dovesnap.yaml", 1))
	f.set(func(f *fakeFaucet) { f.auto = true })
	c, _ := start(t, cfg)
	a := network("a", nil)
	c.Want(state([]spec.Network{a}), nil)
	await(t, "confirmation", c, confirmed(c))
	text := read(t, f.file)

	c.Want(state([]spec.Network{a, network("b", nil)}), nil)
	want := `Faucet refuses the new configuration: bad "net-b" in ` + f.file + `, see ` + f.config
	await(t, "the refusal", c, func() bool { return c.Problems()["faucet"] == want })
	if read(t, f.file) != text {
		t.Error("the refused text was written")
	}
	if st := c.Status(); st.Delivered || st.Confirmed || st.LastError != want {
		t.Errorf("%+v", st)
	}
	// The wanted configuration changes: no back-off keeps it.
	e := container(a, 1, acl("office"))
	c.Want(state([]spec.Network{a}, e), nil)
	await(t, "recovery", c, func() bool { return c.Settled(a, e) && c.Status().Confirmed && len(c.Problems()) == 0 })

	// Another ACL of a port is not checked.
	ran := len(read(t, log))
	e = container(a, 1, acl("guest"))
	c.Want(state([]spec.Network{a}, e), nil)
	await(t, "confirmation", c, func() bool { return c.Settled(a, e) })
	if len(read(t, log)) != ran {
		t.Error("a change of an ACL was checked")
	}
}

func TestCheckThatCannotTell(t *testing.T) {
	withChecker(t, "echo Traceback >&2; exit 1\n")
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.auto = true })
	c, _ := start(t, cfg)
	c.Want(state([]spec.Network{network("a", nil)}), nil)
	await(t, "confirmation", c, confirmed(c))
}

// TestRealCheck has Faucet's own program judge, our file being included from an
// included one.
func TestRealCheck(t *testing.T) {
	bin := venv(t)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir := tree(t, map[string]string{
		"faucet.yaml": "include: [sub/a.yaml, acls.yaml]\ndps: {d: {dp_id: 1, interfaces: {1: {native_vlan: 1}}}}\n",
		"sub/a.yaml":  "include-optional: [../dovesnap.yaml]\n",
		"acls.yaml":   "acls: {office: [{rule: {actions: {allow: 1}}}]}\n",
	})
	f := newFileBackend(FileConfig{Config: filepath.Join(dir, "faucet.yaml"), File: filepath.Join(dir, "dovesnap.yaml"), State: filepath.Join(t.TempDir(), "faucet")})
	s, err := f.look(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	n := network("a", func(n *spec.Network) { n.DefaultACL = "office" })
	good := render(Wanted{State: state([]spec.Network{n})}, s.others)
	if err := f.check(t.Context(), Config{}, good); err != nil {
		t.Error(err)
	}
	bad := render(Wanted{State: state([]spec.Network{n})}, s.others)
	dp := bad.DPs["net-a"]
	dp.ID = 1
	bad.DPs["net-a"] = dp
	if err := f.check(t.Context(), Config{}, bad); err == nil || err.Error() != "Faucet refuses the new configuration: DPID 1 is duplicated" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(f.cfg.File); err == nil {
		t.Error("the check wrote our file")
	}
}

func TestSameButACLs(t *testing.T) {
	n := network("a", nil)
	base := state([]spec.Network{n}, container(n, 1, nil))
	o := operator(t, operatorFile)
	one, err := Parse(render(Wanted{State: base}, o).String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		other spec.State
		want  bool
	}{
		"same":         {base, true},
		"an ACL":       {state([]spec.Network{n}, container(n, 1, acl("office"))), true},
		"default ACL":  {state([]spec.Network{network("a", func(n *spec.Network) { n.DefaultACL = "office" })}), true},
		"a VLAN":       {state([]spec.Network{n}, container(n, 1, func(e *spec.Endpoint) { e.VLAN = 5 })), false},
		"trunks":       {state([]spec.Network{n}, container(n, 1, func(e *spec.Endpoint) { e.Trunks = []int{5} })), false},
		"a network":    {state([]spec.Network{n, network("b", nil)}), false},
		"a port":       {state([]spec.Network{n}, container(n, 65, nil)), false},
		"vlan_out_acl": {state([]spec.Network{network("a", func(n *spec.Network) { n.VLANOutACL = "office" })}), false},
	} {
		if got := sameButACLs(one, render(Wanted{State: tt.other}, o)); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
