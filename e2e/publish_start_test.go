// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// gatedRunc is runc that makes no container before there is a file /run/gate.
const gatedRunc = `#!/bin/sh
case " $* " in *" create "*) until [ -e /run/gate ]; do sleep 0.1; done;; esac
exec runc "$@"
`

// Docker up to 26 has ports published long before the container has its interface. In
// between, dovesnap is killed, and others want ports: those who start lose nothing.
func TestStartingOverAKill(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		const path = "/usr/local/bin/gated-runc"
		if err := h.WriteFile(path, gatedRunc, 0o755); err != nil {
			t.Fatal(err)
		}
		p := newPublished(t, h, "--add-runtime=gated="+path)
		p.server("holder", "net", "-p", "7000:80")
		const starting = 3
		var starts []*host.Process
		for i := range starting {
			name := fmt.Sprintf("s%d", i)
			p.docker("create", "--name="+name, "--runtime=gated", "--net=net", "-p", fmt.Sprintf("%d:80", 7001+i), "-v", peerPath+":"+peerPath, "busybox", peerPath, "serve", "80")
			starts = append(starts, must[*host.Process](t)(h.Start("start-"+name, "docker", "start", name)))
		}
		if h.suite() != "forky" { // there Docker asks for nothing before that
			eventually(t, patience, "the containers' ports", func() error {
				if ports := h.run(host.Program, "ports"); strings.Count(ports, ":700") <= starting {
					return errors.New(ports)
				}
				return nil
			})
		}
		p.kill(p.dovesnap)
		p.dovesnap = h.dovesnap()
		for range 2 {
			if err := p.tryServer("rival", "net", "-p", "7000:80"); err == nil || !strings.Contains(err.Error(), `container "holder"`) {
				t.Errorf("the rival: %v", err)
			}
			p.docker("rm", "-f", "rival")
		}
		h.run("touch", "/run/gate")
		for i, start := range starts {
			if err := start.Wait(h.ctx); err != nil {
				t.Errorf("container %d: %v: %s", i, err, start.Logged())
				continue
			}
			p.open(uint16(7001 + i))
		}
		p.open(7000)
		if t.Failed() {
			return
		}
		for i := range starting {
			p.docker("rm", "-f", fmt.Sprintf("s%d", i))
		}
		h.run("rm", "/run/gate")
		p.stop(p.dovesnap)
		p.dovesnap = h.quickly()
		p.ends("holder")
	})
}

// dockerd is killed while it starts containers again, which are at the gate then: what
// it had made for them does not keep them from their ports when it starts them anew.
func TestDockerdKilledWhileItStarts(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		const path = "/usr/local/bin/gated-runc"
		if err := h.WriteFile(path, gatedRunc, 0o755); err != nil {
			t.Fatal(err)
		}
		flags := []string{"--log-level=warn", "--add-runtime=gated=" + path}
		p := newPublished(t, h, flags[1:]...)
		p.stop(p.dovesnap)
		p.dovesnap = h.dovesnap()
		h.run("touch", "/run/gate")
		names := []string{"s0", "s1", "s2", "s3"}
		for i, name := range names {
			p.server(name, "net", "--runtime=gated", "--restart=always", "-p", fmt.Sprintf("%d:80", 7001+i))
		}
		for range 2 {
			h.run("rm", "/run/gate")
			p.kill(p.dockerd)
			before := strings.Count(p.dovesnap.Logged(), "port published")
			starting := must[*host.Process](t)(h.Start("dockerd-killed", append([]string{"dockerd"}, flags...)...))
			if h.suite() != "forky" { // there Docker asks for nothing before the gate
				eventually(t, patience, "ports of containers at the gate", func() error {
					if n := strings.Count(p.dovesnap.Logged(), "port published") - before; n < len(names) {
						return fmt.Errorf("%d", n)
					}
					return nil
				})
			}
			p.kill(starting)
			h.run("touch", "/run/gate")
			p.dockerd = h.dockerd(flags[1:]...)
			for i, name := range names {
				if err := h.docker("inspect", "-f", "{{.State.Error}}", name); strings.Contains(err, "already exists") {
					t.Logf("%s: Docker 20.10 trips over its own task: %s", name, err)
					continue
				} else if err != "" {
					t.Errorf("%s: %s", name, err)
				}
				p.open(uint16(7001 + i))
				if n := len(p.rulesOf(uint16(7001 + i))); n != 1 {
					t.Errorf("%s: %d rules", name, n)
				}
			}
		}
	})
}
