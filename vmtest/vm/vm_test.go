// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCount(t *testing.T) {
	reply := func(seq string) string {
		return "[1700000000.250000] 64 bytes from 10.0.0.2: icmp_seq=" + seq + " ttl=64 time=0.1 ms\n"
	}
	for _, test := range []struct {
		name, out string
		want      Pings
	}{
		{"none lost", reply("1") + reply("2") + "2 packets transmitted, 2 received", Pings{Sent: 2}},
		{"the last on its way", reply("1") + "2 packets transmitted, 1 received", Pings{Sent: 1}},
		{"lost", reply("1") + reply("4") + "4 packets transmitted", Pings{Sent: 4, Lost: []int{2, 3}}},
		{"late", reply("2") + reply("1"), Pings{Sent: 2}},
		{"doubled", reply("1") + reply("1"), Pings{Sent: 1, Duplicates: 1}},
		{"errors are no replies", reply("1") + "From 10.0.0.1 icmp_seq=2 Destination Host Unreachable\n" + reply("3"), Pings{Sent: 3, Lost: []int{2}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, count(test.out), cmpopts.IgnoreUnexported(Pings{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := count(reply("1") + "100 packets transmitted, 1 received"); got.Sent != 100 || len(got.Lost) != 99 {
		t.Errorf("a network that went away: %s", got)
	}
	if got, want := count(reply("1")+reply("4")+reply("6")+"6 packets transmitted").String(),
		"3 of 6 pings lost, 2 after 22:13:20.250 until 22:13:20.250, 1 after 22:13:20.250 until 22:13:20.250, 0 duplicates"; got != want {
		t.Errorf("gaps are shown as %q, want %q", got, want)
	}
	if got := answers(reply("65535") + reply("0") + reply("1")); len(got[65535+1]) != 1 || len(got[65535+2]) != 1 {
		t.Errorf("numbers that start again: %v", got)
	}
}

func TestDiff(t *testing.T) {
	before := State("== links\nlo\neth0\n== units\ndocker.service")
	after := State("== links\nlo\neth1\n== units\ndocker.service\nlo")
	want := "- links: eth0\n+ links: eth1\n+ units: lo"
	if got := before.Diff(after); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := before.Diff(after, "eth", "lo"); got != "" {
		t.Errorf("got %q with all of it allowed", got)
	}
	if got := before.Diff(before); got != "" {
		t.Errorf("got %q without a difference", got)
	}
}

func TestCache(t *testing.T) {
	t.Setenv("DOVESNAP_TEST_CACHE", t.TempDir())
	made := 0
	get := func(stem, key string) *cached {
		t.Helper()
		c, err := cache(stem, key, nil, func(dir string) error {
			made++
			return os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(c.path, "file")); err != nil {
			t.Fatal(err)
		}
		return c
	}
	there := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(os.Getenv("DOVESNAP_TEST_CACHE"), "vm"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names
	}
	age := func(c *cached, by time.Duration) {
		then := time.Now().Add(-by)
		if err := os.Chtimes(c.path+".use", then, then); err != nil {
			t.Fatal(err)
		}
	}
	held := get("a", "1")
	age(held, 4*time.Hour)
	b := get("a", "2")
	b.release()
	age(b, 3*time.Hour)
	other := get("a-longer", "1")
	other.release()
	age(other, 5*time.Hour)
	get("a", "3").release()
	get("a", "3").release()
	get("a", "4").release()
	if made != 5 {
		t.Errorf("made %d times, want 5", made)
	}
	// Of a's, 1 is in use and 2 the one used longest ago.
	if want := []string{"a-1", "a-3", "a-4", "a-longer-1"}; !slices.Equal(there(), want) {
		t.Errorf("cache has %v, want %v", there(), want)
	}

	_, err := cache("a", "5", nil, func(string) error { return errors.New("half-way") })
	if err == nil || slices.ContainsFunc(there(), func(name string) bool { return name[:2] == "a-" && name[2] == '5' }) {
		t.Errorf("a failed build: %v, %v", err, there())
	}
}

func TestRunDirectory(t *testing.T) {
	t.Setenv("DOVESNAP_TEST_CACHE", t.TempDir())
	first, err := runDir()
	if err != nil {
		t.Fatal(err)
	}
	dead, err := runDir()
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Close() // as the end of its process would
	last, err := runDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dead process's directory: %v", err)
	}
	for _, d := range []*runDirectory{first, last} {
		if _, err := os.Stat(d.path); err != nil {
			t.Errorf("a directory in use: %v", err)
		}
		d.remove()
	}
}
