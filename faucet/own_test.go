// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"
)

const aclsOnly = "acls:\n  mine: [{rule: {actions: {allow: 1}}}]\n"

// Nothing but our own file is ever written, by whatever name it is given.
func TestOnlyOurFileIsWritten(t *testing.T) {
	const (
		yours     = "it is your own configuration of Faucet (faucet.config): give faucet.file another name"
		directory = "it is a directory: give faucet.file the name of a file"
		foreign   = "it is not dovesnap's: remove it, or give faucet.file another name"
	)
	lookalike := fileMark[:len(fileMark)-1]
	for name, tt := range map[string]struct {
		files map[string]string
		file  string
		why   string
	}{
		"the same name":               {nil, "faucet.yaml", yours},
		"the same by a longer way":    {map[string]string{"sub/x": ""}, "sub/../faucet.yaml", yours},
		"through a linked directory":  {map[string]string{"etc@": "."}, "etc/faucet.yaml", yours},
		"through a link":              {map[string]string{"dovesnap.yaml@": "faucet.yaml"}, "dovesnap.yaml", yours},
		"a directory":                 {map[string]string{"sub/x": ""}, "sub", directory},
		"an operator's file":          {map[string]string{"acls.yaml": aclsOnly}, "acls.yaml", foreign},
		"a link to one":               {map[string]string{"acls.yaml": aclsOnly, "dovesnap.yaml@": "acls.yaml"}, "dovesnap.yaml", foreign},
		"white space":                 {map[string]string{"acls.yaml": "\n"}, "acls.yaml", foreign},
		"our header, but not at once": {map[string]string{"acls.yaml": "\n" + Config{}.String()}, "acls.yaml", foreign},
		"nearly our header":           {map[string]string{"acls.yaml": lookalike}, "acls.yaml", foreign},
		"something like our datapath": {map[string]string{"acls.yaml": strings.TrimPrefix(render(Wanted{State: state([]spec.Network{network("a", nil)})}, newOthers("")).String(), fileHeader)}, "acls.yaml", foreign},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"faucet.yaml": operatorFile}
			for name, text := range tt.files {
				files[name] = text
			}
			dir := tree(t, files)
			cfg := FileConfig{Config: filepath.Join(dir, "faucet.yaml"), File: dir + "/" + tt.file, Reload: ReloadWatch, Metrics: "http://127.0.0.1:1", State: filepath.Join(t.TempDir(), "state")}
			want := fmt.Sprintf("cannot write %q: %s", cfg.File, tt.why)
			if changed, _, err := Init(cfg.Config, cfg.File); changed || err == nil || err.Error() != want {
				t.Errorf("init: %t %v, want %s", changed, err, want)
			}
			c, stop := start(t, cfg)
			n := network("a", nil)
			s := state([]spec.Network{n}, container(n, 1, acl("office")))
			c.Want(s, nil)
			await(t, "the problem", c, func() bool { return c.Problems()["faucet"] != "" })
			if st := c.Status(); st.LastError != want || st.Delivered || st.Confirmed {
				t.Errorf("got %+v, want %s", st, want)
			}
			if got := settled(c, s); got != "1:false" {
				t.Errorf("let through: %s", got)
			}
			stop()
			b := newFileBackend(cfg)
			if got, err := b.deliver(t.Context(), Config{}); err == nil || err.Error() != want || got.version != "" {
				t.Errorf("deliver: %v", err)
			}
			for name, text := range files {
				if link, is := strings.CutSuffix(name, "@"); is {
					if to, err := os.Readlink(filepath.Join(dir, link)); to != text {
						t.Errorf("link %s: %q %v", link, to, err)
					}
				} else if got := read(t, filepath.Join(dir, name)); got != text {
					t.Errorf("%s is now %s", name, got)
				}
			}
		})
	}
}

func TestSameWithoutFiles(t *testing.T) {
	dir := tree(t, map[string]string{"etc@": ".", "special@": os.DevNull})
	for file, want := range map[string]string{"etc/faucet.yaml": "it is your own", "special": "it is not a plain file", "dovesnap.yaml": ""} {
		err := own(filepath.Join(dir, "faucet.yaml"), filepath.Join(dir, file))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
}

// What is ours, however it was edited below the first line, or empty, is written anew.
func TestOursIsRestored(t *testing.T) {
	for _, text := range []string{"", fileHeader, fileMark + ".\r\n# something older\r\n", Config{}.String() + "# mine\n"} {
		f, cfg := newFake(t)
		f.set(func(f *fakeFaucet) { f.auto = true })
		write(t, f.file, text)
		c, _ := start(t, cfg)
		c.Want(state([]spec.Network{network("a", nil)}), nil)
		await(t, "confirmation", c, confirmed(c))
		if got := read(t, f.file); !strings.HasPrefix(got, fileHeader) || !strings.Contains(got, "net-a:") || strings.Contains(got, "mine") {
			t.Errorf("%q became %s", text, got)
		}
	}
}

// TestForeignFileComesAndGoes puts a file in our file's place while all is well.
func TestForeignFileComesAndGoes(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.auto = true })
	c, stop := start(t, cfg)
	n := network("a", nil)
	s := state([]spec.Network{n}, container(n, 1, acl("office")))
	c.Want(s, nil)
	await(t, "confirmation", c, confirmed(c))
	ours := read(t, f.file)

	// A laxer one for the same port, which Faucet has not read yet.
	f.set(func(f *fakeFaucet) { f.auto = false })
	foreign := strings.ReplaceAll(strings.TrimPrefix(ours, fileHeader), "office", "guest")
	write(t, f.file, foreign)
	s = state([]spec.Network{n}, container(n, 1, acl("office")), container(n, 2, acl("guest")))
	c.Want(s, nil)
	want := fmt.Sprintf("cannot write %q: it is not dovesnap's: remove it, or give faucet.file another name", f.file)
	await(t, "the problem", c, func() bool { return c.Problems()["faucet"] == want })
	if got := settled(c, s); got != "1:false 2:false" || c.Status().Delivered {
		t.Errorf("with a foreign file: %s %+v", got, c.Status())
	}
	if got := read(t, f.file); got != foreign {
		t.Errorf("it is now %s", got)
	}

	// A new daemon learns nothing from it, and Faucet reads it.
	f.load()
	stop()
	c, _ = start(t, cfg)
	c.Want(s, nil)
	await(t, "the problem", c, func() bool { return c.Problems()["faucet"] == want })
	if got := settled(c, s); got != "1:false 2:false" {
		t.Errorf("after a restart: %s", got)
	}
	c.mu.Lock()
	if len(c.force.versions)+len(c.memory) > 0 {
		t.Errorf("it was taken as ours: %v %v", c.force, c.memory)
	}
	c.mu.Unlock()
	if err := os.Remove(f.file); err != nil {
		t.Fatal(err)
	}
	await(t, "delivery", c, func() bool { return c.Status().Delivered })
	if got := settled(c, s); got != "1:false 2:false" {
		t.Errorf("with the foreign file still in force: %s", got)
	}
	f.set(func(f *fakeFaucet) { f.auto = true })
	await(t, "confirmation", c, confirmed(c))
	if got := settled(c, s); got != "1:true 2:true" || len(c.Problems()) > 0 {
		t.Errorf("in the end: %s %v", got, c.Problems())
	}
}

// While a foreign file is there, that Faucet still has ours says nothing of the
// next moment.
func TestForeignFileIsNotConfirmed(t *testing.T) {
	f, cfg := newFake(t)
	f.set(func(f *fakeFaucet) { f.auto = true })
	c := NewFile(cfg, quiet())
	n := network("a", nil)
	s := state([]spec.Network{n}, container(n, 1, acl("office")))
	step := func(want string) {
		t.Helper()
		c.loop.pollAt = time.Time{}
		c.step(t.Context())
		if got := settled(c, s); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.Want(s, nil)
	c.step(t.Context())
	step("1:true")
	ours := read(t, f.file)
	f.set(func(f *fakeFaucet) { f.auto = false })
	write(t, f.file, aclsOnly)
	step("1:false")
	step("1:false")
	write(t, f.file, ours)
	c.step(t.Context()) // it is found
	step("1:true")
}
