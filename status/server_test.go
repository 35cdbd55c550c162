// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"dovesnap/status"

	"github.com/google/go-cmp/cmp"
)

var quiet = slog.New(slog.DiscardHandler)

// serve serves source in dir until the returned function is called, which
// returns what Serve did.
func serve(t *testing.T, dir string, source status.Source) (stop func() error) {
	t.Helper()
	l, err := status.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- status.Serve(ctx, l, source, quiet) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return stop
}

func fixed(s status.Status) status.Source {
	return func(context.Context) (status.Status, error) { return s, nil }
}

func TestServeAndGet(t *testing.T) {
	dir := t.TempDir() + "/run"
	stop := serve(t, dir, fixed(example()))
	info, err := os.Stat(status.Socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket's mode is %v", info.Mode())
	}
	got, err := status.Get(t.Context(), status.Socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got); diff != "" {
		t.Error(diff)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := status.Get(t.Context(), status.Socket(dir)); !errors.Is(err, status.ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestTimeOfAnswer(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, fixed(status.Status{}))
	got, err := status.Get(t.Context(), status.Socket(dir))
	if err != nil || got.Time.IsZero() {
		t.Errorf("got %v, %v", got.Time, err)
	}
}

func TestCloseWithoutServing(t *testing.T) {
	dir := t.TempDir()
	l, err := status.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// A second Close must not remove what is another's by then.
	serve(t, dir, fixed(example()))
	_ = l.Close()
	if _, err := status.Get(t.Context(), status.Socket(dir)); err != nil {
		t.Error(err)
	}
}

func TestNoListIsNull(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, fixed(status.Status{Networks: []status.Network{{Endpoints: []status.Endpoint{{}}}, {}}}))
	got, err := status.Get(t.Context(), status.Socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got) // null would have been read as nil
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestListenTakesOverAStaleSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: status.Socket(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	if err := os.Mkdir(dir+"/.status", 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, fixed(example()))
	if _, err := status.Get(t.Context(), status.Socket(dir)); err != nil {
		t.Error(err)
	}
}

func TestListenRefusesASecondDaemon(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, fixed(example()))
	_, err := status.Listen(t.Context(), dir)
	if want := "cannot serve status: dovesnap runs already (pid 4242)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := status.Get(t.Context(), status.Socket(dir)); err != nil {
		t.Errorf("the first no longer answers: %v", err)
	}
}

func TestSourceFails(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, func(context.Context) (status.Status, error) {
		return status.Status{}, errors.New("cannot read bridges: no connection")
	})
	_, err := status.Get(t.Context(), status.Socket(dir))
	if want := "cannot read status: cannot read bridges: no connection"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSourceHasADeadline(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, func(ctx context.Context) (status.Status, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		return status.Status{}, nil
	})
	if _, err := status.Get(t.Context(), status.Socket(dir)); err != nil {
		t.Error(err)
	}
}

// TestBounds has as many ask as may, and one more; then the server stops while
// they are being answered.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	const most = 16
	asked, release := make(chan struct{}), make(chan struct{})
	stop := serve(t, dir, func(context.Context) (status.Status, error) {
		asked <- struct{}{}
		<-release
		return example(), nil
	})
	answers := make(chan error, most)
	for range most {
		go func() {
			_, err := status.Get(t.Context(), status.Socket(dir))
			answers <- err
		}()
	}
	for range most {
		<-asked
	}
	_, err := status.Get(t.Context(), status.Socket(dir))
	if err == nil || !strings.Contains(err.Error(), "too many ask at once") {
		t.Errorf("one too many: %v", err)
	}
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	close(release)
	for range most {
		if err := <-answers; err != nil {
			t.Errorf("under way when the server stopped: %v", err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestOtherRequestsAreRefused(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, fixed(example()))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", status.Socket(dir))
	}}}
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/", http.StatusNotFound}, {"POST", "/status", http.StatusMethodNotAllowed}, {"GET", "/status/x", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, "http://x"+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != tt.code {
			t.Errorf("%s %s: %s", tt.method, tt.path, response.Status)
		}
	}
}

func TestNotRunning(t *testing.T) {
	_, err := status.Get(t.Context(), status.Socket(t.TempDir()))
	if !errors.Is(err, status.ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
}
