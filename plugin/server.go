// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-plugins-helpers/network"
	"github.com/docker/go-plugins-helpers/sdk"
)

const (
	callTimeout = 10 * time.Second // of one call; Docker itself sets none
	maxBody     = 1 << 20          // bytes; the largest real request has a few thousand
)

// manifest is the plugin handshake's answer (docs.docker.com, "Plugin API").
const manifest = `{"Implements": ["NetworkDriver"]}`

// Server serves one Driver on any number of listeners.
type Server struct {
	log       *slog.Logger
	lookEvery time.Duration
	mux       *http.ServeMux
	http      *http.Server
}

// NewServer registers the driver's calls. Every path of the protocol is
// answered: Docker takes 404 for a failure on most of them.
func NewServer(d *Driver, log *slog.Logger) *Server {
	s := &Server{log: log, lookEvery: lookEvery, mux: http.NewServeMux()}
	s.mux.HandleFunc("/Plugin.Activate", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
		fmt.Fprintln(w, manifest)
	})
	handle(s, "GetCapabilities", optional, d.capabilities)
	handle(s, "GwAllocCheck", required, d.gwAllocCheck)
	handle(s, "AllocateNetwork", required, d.allocateNetwork)
	handle(s, "FreeNetwork", required, nothing[network.FreeNetworkRequest])
	handle(s, "CreateNetwork", required, d.createNetwork)
	handle(s, "DeleteNetwork", required, d.deleteNetwork)
	handle(s, "CreateEndpoint", required, d.createEndpoint)
	handle(s, "DeleteEndpoint", required, d.deleteEndpoint)
	handle(s, "EndpointOperInfo", required, d.endpointInfo)
	handle(s, "Join", required, d.join)
	handle(s, "Leave", required, d.leave)
	handle(s, "ProgramExternalConnectivity", required, d.program)
	handle(s, "RevokeExternalConnectivity", required, d.revoke)
	handle(s, "DiscoverNew", required, nothing[network.DiscoveryNotification])
	handle(s, "DiscoverDelete", required, nothing[network.DiscoveryNotification])
	s.http = &http.Server{Handler: s.mux, ReadHeaderTimeout: callTimeout, ReadTimeout: callTimeout, ConnContext: withCaller,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	return s
}

// lookEvery is how often Run sees to it that the sockets' files are there.
const lookEvery = 5 * time.Second

// Run serves until ctx ends, then lets the calls in flight finish. A socket
// whose file somebody removed is made again.
func (s *Server) Run(ctx context.Context, sockets []Socket) error {
	var serving sync.WaitGroup
	failed := make(chan error, 1)
	serve := func(l Socket) {
		serving.Add(1)
		go func() {
			defer serving.Done()
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				select {
				case failed <- fmt.Errorf("cannot serve on %q: %w", l.Addr(), err):
				default: // the first is enough
				}
			}
		}()
	}
	for _, l := range sockets {
		serve(l)
	}
	err := s.watch(ctx, sockets, serve, failed)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout+5*time.Second)
	defer cancel()
	if shutdown := s.http.Shutdown(drain); shutdown != nil && err == nil {
		err = fmt.Errorf("cannot finish the calls in flight: %w", shutdown)
	}
	serving.Wait()
	return err
}

// watch waits for the end, and meanwhile for sockets that are gone.
func (s *Server) watch(ctx context.Context, sockets []Socket, serve func(Socket), failed <-chan error) error {
	tick := time.NewTicker(s.lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		for _, old := range sockets {
			if !old.gone() {
				continue
			}
			l, err := listenUnix(old.path)
			if err != nil {
				s.log.Error("a driver's socket is gone", "err", err)
				continue
			}
			s.log.Warn("a driver's socket was removed; made it again", "path", old.path)
			serve(Socket{Listener: l, path: old.path}) // the old one goes on, for calls in flight
		}
	}
}

// body says whether a call must have one.
type body bool

const (
	required body = true
	optional body = false
)

// handle registers one call: decode, deadline, recover, log, encode.
func handle[Request, Answer any](s *Server, method string, need body, f func(context.Context, Request) (Answer, error)) {
	s.mux.HandleFunc("/NetworkDriver."+method, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		var request Request
		if err := decode(w, r, need, &request); err != nil {
			s.log.Warn("bad request", "call", method, "err", err)
			refuse(w, http.StatusBadRequest, err)
			return
		}
		// The request's own context ends when Docker goes away; the work is
		// finished all the same, since Docker counts on its effect or its undoing.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callTimeout)
		defer cancel()
		answer, err := guard(ctx, s.log, method, request, f)
		if err != nil {
			s.log.Error("call failed", "call", method, "err", err, "took", time.Since(began))
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		s.log.Debug("call", "call", method, "took", time.Since(began))
		sdk.EncodeResponse(w, answer, false)
	})
}

// guard turns a panic into an error: a connection that breaks makes Docker
// repeat the call without its body, and say "EOF" to the user.
func guard[Request, Answer any](ctx context.Context, log *slog.Logger, method string, request Request, f func(context.Context, Request) (Answer, error)) (answer Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic in a call", "call", method, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("cannot serve NetworkDriver.%s: internal error; dovesnap's log has the details", method)
		}
	}()
	return f(ctx, request)
}

// refuse answers with the one line that Docker shows to the user.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", sdk.DefaultContentTypeV1_1)
	w.WriteHeader(status)
	sdk.EncodeResponse(w, network.ErrorResponse{Err: line(err)}, false)
}

// line makes an error fit for the user's terminal.
func line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// decode reads the whole body into v.
func decode(w http.ResponseWriter, r *http.Request, need body, v any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("cannot read the request: %v", err)
	}
	if len(text) == 0 {
		if need == required {
			return errors.New("the request came without its body, as Docker repeats a call that was cut off (moby/moby#35459); run the command again")
		}
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read the request: %v", err)
	}
	return nil
}
