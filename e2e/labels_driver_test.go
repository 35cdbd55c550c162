// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dovesnap/dockerd"
	"dovesnap/e2e/host"
	"dovesnap/reconcile"
	"dovesnap/spec"
)

// A stub is a network driver that gives every endpoint a veth pair, and an
// engine that notes what it is told of Docker: what is between Docker and the
// watcher can be tested without a switch.
type stub struct {
	h       *testHost
	watcher *dockerd.Watcher
	expects bool // the watcher is told of new endpoints

	mu     sync.Mutex
	joined map[spec.EndpointID]time.Time // when Join was answered
	told   map[spec.EndpointID]told
	named  map[spec.NetworkID]string
	lacks  bool                 // every endpoint is to be restored
	view   reconcile.DockerView // the last
}

// told is what the engine heard of an endpoint.
type told struct {
	network   spec.NetworkID
	container string
	labels    map[string]string
	at        time.Time // of Attached
	started   time.Time
}

// stub serves the driver "ovs" on the host until the test ends.
func (h *testHost) stub() *stub {
	h.t.Helper()
	s := &stub{h: h, joined: map[spec.EndpointID]time.Time{}, told: map[spec.EndpointID]told{}, named: map[spec.NetworkID]string{}}
	var listener net.Listener
	err := h.Files(func() (err error) {
		socket := host.PluginSockets[0]
		if err = os.MkdirAll(filepath.Dir(socket), 0o755); err == nil {
			listener, err = net.Listen("unix", socket)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // the path is the host's
	server := &http.Server{Handler: s}
	go func() { _ = server.Serve(listener) }()
	h.t.Cleanup(func() { server.Close() })
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		NetworkID  spec.NetworkID
		EndpointID spec.EndpointID
	}
	_ = json.NewDecoder(r.Body).Decode(&request)
	answer := map[string]any{}
	switch method := strings.TrimPrefix(path.Base(r.URL.Path), "NetworkDriver."); method {
	case "Plugin.Activate":
		answer["Implements"] = []string{"NetworkDriver"}
	case "GetCapabilities":
		answer["Scope"] = "local"
	case "CreateEndpoint":
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.expects {
			s.watcher.Expect(request.NetworkID, request.EndpointID)
		}
	case "Join":
		link := spec.ContainerLink(request.EndpointID)
		_, err := s.h.Run(r.Context(), "ip", "link", "add", spec.HostLink(request.EndpointID), "up", "type", "veth", "peer", "name", link)
		if err != nil {
			answer["Err"] = err.Error()
		}
		answer["InterfaceName"] = map[string]string{"SrcName": link, "DstPrefix": "eth"}
		answer["DisableGatewayService"] = true
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.joined[request.EndpointID] = time.Now()
		}()
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *stub) Lacks(_ context.Context, ids []spec.EndpointID) ([]spec.EndpointID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lacks {
		ids = nil
	}
	return ids, nil
}

func (s *stub) See(_ context.Context, v reconcile.DockerView) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	for id, n := range v.Networks {
		s.named[id] = n.Name
		for e, ep := range n.Endpoints {
			if _, again := s.told[e]; !again && ep.Labelled {
				s.told[e] = told{network: id, container: ep.Container, labels: ep.Labels, at: time.Now()}
			}
			if t := s.told[e]; ep.Running && t.started.IsZero() && t.labels[aclLabel] != "" {
				t.started = time.Now()
				s.told[e] = t
			}
		}
	}
	return nil
}

func (s *stub) Named(_ context.Context, n spec.NetworkID, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named[n] = name
	return nil
}

func (s *stub) Attached(_ context.Context, n spec.NetworkID, e spec.EndpointID, container string, labels map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.told[e]; !again {
		s.told[e] = told{network: n, container: container, labels: labels, at: time.Now()}
	}
	return nil
}

func (s *stub) Started(ctx context.Context, endpoints []spec.EndpointID) error {
	for _, e := range endpoints {
		if _, err := s.h.Run(ctx, "ip", "link", "show", spec.ContainerLink(e)); err == nil {
			s.h.t.Errorf("endpoint %s: its interface is still outside of the container", e.Short())
		}
		s.mu.Lock()
		t := s.told[e]
		t.started = time.Now()
		s.told[e] = t
		s.mu.Unlock()
	}
	return nil
}

// endpoint returns the id of a container's endpoint on a network.
func (h *testHost) endpoint(container, network string) spec.EndpointID {
	h.t.Helper()
	return spec.EndpointID(h.docker("inspect", "--format", fmt.Sprintf(`{{(index .NetworkSettings.Networks %q).EndpointID}}`, network), container))
}
