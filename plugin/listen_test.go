// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// passSockets is systemd: it opens sockets and passes them.
func passSockets(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovesnap-plugin") // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files := map[string]*os.File{}
	for _, name := range names {
		path := filepath.Join(dir, name+".sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		if files[path], err = l.(*net.UnixListener).File(); err != nil {
			t.Fatal(err)
		}
	}
	old := passed
	t.Cleanup(func() { passed = old })
	passed = func() (map[string]*os.File, error) { return files, nil }
	return dir
}

func TestPassedSocketsAreUsed(t *testing.T) {
	dir := passSockets(t, "ovs", "unasked")
	sockets, err := Listen(dir, []string{"ovs", "dovesnap"})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, s := range sockets {
		paths = append(paths, filepath.Base(s.path))
		s.Close()
	}
	slices.Sort(paths)
	if got := strings.Join(paths, " "); got != "dovesnap.sock ovs.sock unasked.sock" {
		t.Errorf("listens on %s", got)
	}
	if err := RemoveSockets(dir, []string{"ovs", "dovesnap"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ovs.sock")); err != nil {
		t.Errorf("systemd's socket was removed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "dovesnap.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("our socket is left: %v", err)
	}
}

// Directories that are made are as dockerd makes them, whichever is first: others
// may not look into its own.
func TestDirectoriesAreRootsOnly(t *testing.T) {
	base, err := os.MkdirTemp("", "dovesnap-plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	sockets, err := Listen(filepath.Join(base, "docker", "plugins"), []string{"ovs"})
	if err != nil {
		t.Fatal(err)
	}
	closeAll(sockets)
	for _, dir := range []string{"docker", "docker/plugins"} {
		info, err := os.Stat(filepath.Join(base, dir))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("the mode of %s is %o", dir, mode)
		}
	}
}

// A daemon that cannot begin answers those who wait, twice in a row as it does
// when systemd starts it again.
func TestRefuse(t *testing.T) {
	dir := passSockets(t, "ovs")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "ovs.sock"))
		}}}
	post := func(call, body string) string {
		answer, err := client.Post("http://plugin/"+call, "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text := make([]byte, 1000)
		n, _ := answer.Body.Read(text)
		return string(text[:n])
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); Refuse(ctx, errors.New("no such\nfile")) }()
		if got := post("Plugin.Activate", ""); !strings.Contains(got, "NetworkDriver") {
			t.Errorf("got %s", got)
		}
		if got, want := post("NetworkDriver.Join", `{"NetworkID":"n","EndpointID":"e"}`), "cannot serve the network: dovesnap does not start: no such file"; !strings.Contains(got, want) {
			t.Errorf("got %s", got)
		}
		cancel()
		<-done
	}
}

func TestRefuseWithoutSockets(t *testing.T) {
	passSockets(t)
	Refuse(t.Context(), errors.New("the test's time limit ends it if it waits"))
}
