// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// A port that somebody has is refused at docker run, by name and address, and
// nothing is half made.
func TestPublishedBusy(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		p := newPublished(t, h)
		process, err := h.Start("holder", peerPath, "serve", "8070")
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "a process to listen", func() error {
			_, err := h.try(peerPath, "ask", "tcp", "127.0.0.1:8070")
			return err
		})
		p.server("ours", "net", "-p", "8071:80")
		p.server("dockers", "bridge", "-p", "8072:80")
		p.server("one", "net", "-p", "127.0.0.1:8073:80")
		before := h.snapshot()
		for _, c := range []struct {
			what, flag string
			want       []string
		}{
			{"a process", "8070:80", []string{"0.0.0.0:8070/tcp", "(peer)"}},
			{"a process, at one address", host.HostAddress + ":8070:80", []string{host.HostAddress + ":8070/tcp", "(peer)"}},
			{"a container of ours", "8071:80", []string{"0.0.0.0:8071/tcp", `container "ours"`}},
			{"a container on Docker's bridge", "8072:80", []string{"0.0.0.0:8072/tcp", "docker-proxy"}},
			{"one address of ours", "8073:80", []string{"0.0.0.0:8073/tcp", `container "one"`}},
			{"an address that the host has not got", "203.0.113.5:8074:80", []string{"203.0.113.5:8074/tcp", "the host has no such address"}},
			{"an address that reaches nobody", "[::1]:8075:80", []string{"[::1]:8075/tcp", "127.0.0.1 can"}},
			{"one port twice", "8069:81", []string{"0.0.0.0:8069/tcp: it is asked for twice"}},
		} {
			t.Log(c.what)
			// The first would do: it has to go with the second.
			err := h.tryServer("refused", "net", "-p", "8069:80", "-p", c.flag)
			if err == nil {
				t.Errorf("%s: not refused", c.what)
			}
			for _, want := range c.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the message lacks %s: %v", c.what, want, err)
				}
			}
			if running := h.docker("inspect", "-f", "{{.State.Running}}", "refused"); running != "false" {
				t.Errorf("%s: refused, but running: %s", c.what, running)
			}
			h.docker("rm", "-f", "refused")
			h.nothingLeftSince(before, savedFlows)
			p.shut(8069)
		}
		// The other way round: what we have, Docker's bridge does not get.
		if err := h.tryServer("refused", "bridge", "-p", "8071:80"); err == nil || !strings.Contains(err.Error(), "8071") {
			t.Errorf("Docker's bridge: %v", err)
		}
		h.docker("rm", "-f", "refused", "dockers")
		p.open(8071)
		h.kill(process)
		p.server("late", "net", "-p", "8070:80") // free again
		p.open(8070)
		p.ends("late", "ours", "one")
	})
}
