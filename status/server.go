// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	answerTime = 5 * time.Second // a Source's
	stopTime   = 2 * time.Second // for answers under way when the server stops
	maxAsking  = 16              // requests at a time
)

// private is the directory in which the socket is made.
const private = ".status"

// Source finds out the Status until ctx ends.
type Source func(ctx context.Context) (Status, error)

// Listen makes the socket in runDir, mode 0600, in place of one that nobody
// serves any more. It is an error when somebody does: dovesnap runs already.
// Closing the listener removes the socket.
func Listen(ctx context.Context, runDir string) (net.Listener, error) {
	path := Socket(runDir)
	switch s, err := Get(ctx, path); {
	case err == nil:
		return nil, fmt.Errorf("cannot serve status: dovesnap runs already (pid %d)", s.PID)
	case !errors.Is(err, ErrNotRunning):
		return nil, fmt.Errorf("cannot serve status: %q is in use: %w", path, err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot serve status: %w", err)
	}
	// Born in a directory that is root's alone and then moved, the socket is
	// never open to others, not even between bind and chmod.
	nursery := filepath.Join(runDir, private)
	if err := os.RemoveAll(nursery); err != nil { // of one that was killed here
		return nil, fmt.Errorf("cannot serve status: %w", err)
	}
	if err := os.Mkdir(nursery, 0o700); err != nil {
		return nil, fmt.Errorf("cannot serve status: %w", err)
	}
	defer os.RemoveAll(nursery)
	birth := filepath.Join(nursery, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: birth, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot serve status: %w", err)
	}
	l.SetUnlinkOnClose(false) // it would unlink the place of birth
	err = os.Chmod(birth, 0o600)
	if err == nil {
		err = os.Rename(birth, path)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot serve status: %w", err)
	}
	return &socket{Listener: l, path: path}, nil
}

// RemoveSocket removes what a killed daemon left in runDir; that none runs is the
// caller's to know.
func RemoveSocket(runDir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(runDir, private)), os.RemoveAll(Socket(runDir)))
}

// socket is removed when it is closed, before the connections end: whoever asks
// then reads "not running" rather than a connection that is cut.
type socket struct {
	net.Listener
	path string
	once sync.Once // later it may be the next daemon's
}

func (s *socket) Close() (err error) {
	s.once.Do(func() {
		if err = os.Remove(s.path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		err = errors.Join(err, s.Listener.Close())
	})
	return err
}

// Serve answers on a listener of Listen's until ctx ends; then it closes the
// listener and finishes the answers under way.
func Serve(ctx context.Context, l net.Listener, source Source, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /status", handler(source))
	server := &http.Server{
		Handler:           http.MaxBytesHandler(mux, 1<<10),
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       2 * time.Second,
		WriteTimeout:      answerTime + 5*time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("cannot serve status: %w", err)
	case <-ctx.Done():
	}
	closed := l.Close()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if server.Shutdown(stop) != nil {
		server.Close()
	}
	<-served
	if closed != nil {
		return fmt.Errorf("cannot remove status socket: %w", closed)
	}
	return nil
}

func handler(source Source) http.Handler {
	asking := make(chan struct{}, maxAsking)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asking <- struct{}{}:
			defer func() { <-asking }()
		default:
			answer(w, http.StatusServiceUnavailable, failure{"too many ask at once"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		s, err := source(ctx)
		if err != nil {
			answer(w, http.StatusInternalServerError, failure{err.Error()})
			return
		}
		if s.Time.IsZero() {
			s.Time = time.Now()
		}
		s.fillLists()
		answer(w, http.StatusOK, s)
	})
}

// failure is the body of an answer that is not a Status.
type failure struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails when the client has gone
}
