// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"strings"
	"testing"

	"dovesnap/e2e/host"
	"dovesnap/spec"
)

// exampleYAML has the ACLs that the documentation's examples name.
var exampleYAML = operatorYAML + `  office:
    - rule: {actions: {allow: true}}
  guests:
    - rule: {actions: {allow: true}}
`

// Every example of docs/options.md works as it stands there, and what it shows is
// made: nobody is held, nothing is wrong.
func TestExamples(t *testing.T) {
	t.Parallel()
	h := newHost(t, host.Suites[0])
	h.managed("file", exampleYAML)
	for _, nic := range []string{"eth1", "eth2", "eth3"} {
		h.run("ip", "link", "add", nic, "type", "veth", "peer", "name", "far-"+nic)
	}
	fine := func(t *testing.T) {
		eventually(t, patience, "all to be well", func() error {
			out, err := h.try(host.Program, "status")
			// Nobody listens at the second controller of one example.
			if err != nil && strings.Count(out, "! ") == strings.Count(out, "controller tcp:127.0.0.1:6654: ") {
				return nil
			}
			return err
		})
		eventually(t, patience, "nobody to be held", func() error {
			if status, _ := h.try(host.Program, "status", "--json"); strings.Contains(status, `"held": true`) {
				return errors.New(status)
			}
			return nil
		})
	}
	made := false
	for _, e := range spec.Examples() {
		t.Run(e.Kind+" "+e.Name, func(t *testing.T) {
			h := h.in(t)
			if e.Kind == "option" {
				h.run("sh", "-c", e.Command)
				fine(t)
				h.docker("network", "rm", "mynet")
				return
			}
			if !made {
				h.run("sh", "-c", spec.ExampleNetwork)
				made = true
			}
			if e.Name == "ovs.port.rate_out" {
				// The userspace datapath of a test host cannot, and says so.
				if _, err := h.try("sh", "-c", e.Command); err == nil || !strings.Contains(err.Error(), "userspace datapath cannot limit") {
					t.Errorf("got %v", err)
				}
				return
			}
			id := h.run("sh", "-c", e.Command)
			fine(t)
			h.docker("rm", "-f", id)
		})
	}
}
