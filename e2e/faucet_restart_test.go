// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// Each party goes in the middle: what a container may do is the same afterwards, and
// nothing passes meanwhile that should not.
func TestFaucetModeFileThroughRestarts(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		faucet, daemon := h.faucetFile(operatorYAML)
		h.createManaged("net", 12, "-o", "ovs.bridge.default_acl=open")
		one := h.container("one", "net", "--restart=always")
		strict := h.container("strict", "net", "--restart=always", "--label=dovesnap.faucet.portacl=no-icmp")
		check := func(what string) {
			t.Helper()
			h.reaches(one, "172.12.0.1")
			h.seenAs(strict)
			if h.pings(strict, "172.12.0.1") == nil {
				t.Errorf("%s: the ACL is not in force", what)
			}
		}
		check("at first")

		// Without Faucet: who was there goes on, who comes is held, and what goes goes.
		h.kill(faucet.Process)
		h.container("late", "net", "--label=dovesnap.faucet.portacl=no-icmp")
		h.createManaged("gone", 13)
		h.docker("network", "rm", "gone")
		check("without Faucet")
		h.kill(daemon)
		daemon = h.dovesnap(managed...)
		if s, _ := h.try(host.Program, "status", "--json"); !strings.Contains(s, `"held": true`) {
			t.Errorf("nobody is held without Faucet:\n%s", s)
		}
		h.faucet("")
		h.seenAs("late")
		if h.pings("late", "172.12.0.1") == nil {
			t.Error("who waited for Faucet came through without its ACL")
		}
		check("with Faucet again")
		if text := h.ourYAML(); strings.Contains(text, "gone") {
			t.Errorf("Faucet is told\n%s", text)
		}

		// The daemon, and Docker with all containers.
		h.stop(daemon)
		h.docker("rm", "-f", "late")
		h.dovesnap(managed...)
		check("with another dovesnap")
		h.docker("restart", "-t0", one, strict)
		check("with containers started again")
		eventually(t, patience, "all to be well", func() error {
			if out, err := h.try(host.Program, "status"); err != nil {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	})
}
