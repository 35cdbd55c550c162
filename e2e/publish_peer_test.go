// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"sync"

	"dovesnap/e2e/host"
)

// peerPath is the program of e2e/peer, in hosts and in containers.
const peerPath = "/usr/local/bin/peer"

var peerBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "peer")
	return path, host.Build(context.Background(), "..", false, "build", "-o", path, "./e2e/peer")
})

func (h *testHost) installPeer() {
	h.t.Helper()
	if err := h.Install(must[string](h.t)(peerBinary()), peerPath); err != nil {
		h.t.Fatal(err)
	}
}

// dualStackFlags make Docker's bridge publish in IPv6, which it does by itself
// from 27 on.
func (h *testHost) dualStackFlags() []string {
	if h.suite() == "forky" {
		return nil
	}
	return []string{"--experimental", "--ip6tables"}
}

// suite returns the name of the host's suite.
func (h *testHost) suite() string {
	name, _, _ := strings.Cut(filepath.Base(h.Root), "-")
	return name
}

// readyToPublish is ready, with the peer in place.
func (h *testHost) readyToPublish() (pristine string) {
	h.t.Helper()
	h.installPeer()
	return h.ready(h.dualStackFlags()...)
}

// server starts a container whose port 80 tells who asks, by tcp and udp.
func (h *testHost) server(name, network string, more ...string) {
	h.t.Helper()
	if err := h.tryServer(name, network, more...); err != nil {
		h.t.Fatal(err)
	}
	h.serves(name)
}

// serves waits until a server that was started listens.
func (h *testHost) serves(name string) {
	h.t.Helper()
	for _, at := range []string{"127.0.0.1:80", "[::1]:80"} {
		for _, proto := range []string{"tcp", "udp"} {
			eventually(h.t, patience, name+" to serve", func() error {
				_, err := h.exec(name, peerPath, "ask", proto, at)
				if err != nil && strings.Contains(err.Error(), "cannot assign requested address") {
					return nil // no IPv6 in this container
				}
				return err
			})
		}
	}
}

func (h *testHost) tryServer(name, network string, more ...string) error {
	args := append([]string{"docker", "run", "-d", "--name=" + name, "--net=" + network, "-v", peerPath + ":" + peerPath}, more...)
	_, err := h.try(append(args, "busybox", peerPath, "serve", "80", "81", "82")...)
	return err
}
