// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"dovesnap/dockerd"
	"dovesnap/spec"
)

const (
	aclLabel    = "dovesnap.faucet.portacl"
	prefixLabel = "dovesnap.faucet.mac_prefix"
)

// watch follows the host's Docker for s until the test ends.
func (s *stub) watch() {
	s.watcher = dockerd.New(dockerd.Config{Host: fmt.Sprintf("unix:///proc/%d/root/run/docker.sock", s.h.PID()),
		Drivers: []string{"ovs", "dovesnap"}, Interval: time.Hour}, s, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.watcher.Run(ctx) }()
	s.h.t.Cleanup(func() { cancel(); <-done })
}

// hears waits until the engine was told of a container's endpoint, with its
// label, and returns what it was told, and when the driver's Join was answered.
func (s *stub) hears(container, network, acl string, start bool) (told, time.Time) {
	s.h.t.Helper()
	id := s.h.endpoint(container, network)
	var out told
	eventually(s.h.t, patience, fmt.Sprintf("news of %s on %s", container, network), func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		out = s.told[id]
		if out.at.IsZero() || start == out.started.IsZero() {
			return fmt.Errorf("endpoint %s: told %+v", id.Short(), out)
		}
		return nil
	})
	if out.container != container || out.labels[aclLabel] != acl || s.named[out.network] != network {
		s.h.t.Errorf("endpoint %s of %s on %s: told %+v", id.Short(), container, network, out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return out, s.joined[id]
}

// attached makes a container attach n times, and returns how long after the
// answer to Join the engine knew of it; less than nothing is before.
func (s *stub) attached(what, network string, n int, attach func(i int) string) {
	s.h.t.Helper()
	var delays []time.Duration
	for i := range n {
		got, joined := s.hears(attach(i), network, "strict", true)
		delays = append(delays, got.at.Sub(joined).Round(100*time.Microsecond))
	}
	slices.Sort(delays)
	s.h.t.Logf("%s: labels known after Join: median %s, slowest %s of %d", what, delays[n/2], delays[n-1], n)
}

// A label reaches the engine about when Join is answered, and Started when the
// interface is inside, whatever it was that attached the container.
func TestLabelsArrive(t *testing.T) {
	const times = 5
	labels := []string{"--label=" + aclLabel + "=strict", "--label=" + prefixLabel + "=0e:00", "--label=com.docker.compose.project=p"}
	eachSuite(t, func(t *testing.T, h *testHost) {
		s := h.stub()
		daemon := h.dockerd()
		s.watch()
		for i, name := range []string{"one", "two"} {
			id := h.docker("network", "create", "-d=ovs", fmt.Sprintf("--subnet=172.%d.0.0/24", 40+i), name)
			eventually(t, patience, "the name of a network", func() error {
				s.mu.Lock()
				defer s.mu.Unlock()
				if got := s.named[spec.NetworkID(id)]; got != name {
					return fmt.Errorf("network %s is %q", name, got)
				}
				return nil
			})
		}
		name := func(i int) string { return fmt.Sprint("run", i) }
		for _, how := range []string{"by events", "expected"} {
			s.mu.Lock()
			s.expects = how == "expected"
			s.mu.Unlock()
			s.attached("docker run, "+how, "one", times, func(i int) string { return h.container(name(i), "one", labels...) })
			s.attached("docker start, "+how, "one", times, func(i int) string {
				h.docker("kill", name(i))
				h.docker("start", name(i))
				return name(i)
			})
			s.attached("docker network connect, "+how, "two", times, func(i int) string {
				h.docker("network", "connect", "two", name(i))
				return name(i)
			})
			for i := range times {
				h.docker("rm", "-f", name(i))
			}
		}
		h.docker(append(append([]string{"create", "-t", "--name=both", "--net=one", "--restart=always"}, labels...), "busybox")...)
		h.docker("network", "connect", "--driver-opt=ovs.port.vlan=20", "two", "both")
		h.docker("start", "both")
		h.container("plain", "one")
		s.hears("both", "one", "strict", true)
		s.hears("both", "two", "strict", true)
		s.hears("plain", "one", "", false)

		h.stop(daemon)
		h.dockerd()
		up := time.Now()
		for _, network := range []string{"one", "two"} {
			got, joined := s.hears("both", network, "strict", true)
			t.Logf("dockerd restarted: labels known %s after Join, %s after its API answered", got.at.Sub(joined), got.at.Sub(up))
		}
		s.restores("both", "two", "ovs.port.vlan", "20")
	})
}

// restores waits for a view by which an endpoint could be restored with its
// driver-opt, which the container's list does not show.
func (s *stub) restores(container, network, key, value string) {
	s.h.t.Helper()
	id := s.h.endpoint(container, network)
	s.mu.Lock()
	s.lacks = true
	s.mu.Unlock()
	s.h.docker("network", "create", "-d=ovs", "--subnet=172.49.0.0/24", "stirs")
	eventually(s.h.t, patience, "a view with the driver-opt", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, n := range s.view.Networks {
			if ep, ok := n.Endpoints[id]; ok && ep.Request.Options[key] == value {
				return nil
			}
		}
		return fmt.Errorf("endpoint %s: %+v", id.Short(), s.view)
	})
}
