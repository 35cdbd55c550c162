// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"dovesnap/spec"
)

// words splits an example as a shell would: single quotes are all that is used.
func words(command string) []string {
	var out []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// TestExamples parses the commands as Docker and this package do.
func TestExamples(t *testing.T) {
	var page bytes.Buffer
	if err := spec.WriteOptionsMarkdown(&page); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, e := range append(spec.Examples(), spec.Example{Kind: "option", Command: spec.ExampleNetwork}) {
		shown[e.Kind+" "+e.Name] = true
		if !strings.Contains(page.String(), "\n    "+e.Command+"\n") || !strings.Contains(e.Command, e.Name+"=") && e.Name != "" {
			t.Errorf("%s %s: not on the page: %s", e.Kind, e.Name, e.Command)
		}
		r, labels, options := request(), map[string]string{}, map[string]any{}
		r.FaucetManaged = true
		argv := words(e.Command)
		for i, w := range argv[:len(argv)-1] {
			key, value, _ := strings.Cut(argv[i+1], "=")
			switch w {
			case "-o":
				r.Options[key] = value
			case "--label":
				labels[key] = value
			case "--network":
				fields, err := csv.NewReader(strings.NewReader(argv[i+1])).Read()
				if err != nil || len(fields) != 2 || fields[0] != "name=mynet" {
					t.Fatalf("%s: %v, %v", e.Command, fields, err)
				}
				opt, ok := strings.CutPrefix(strings.ToLower(fields[1]), "driver-opt=") // as Docker's CLI does
				key, value, _ := strings.Cut(opt, "=")
				if options[key] = value; !ok {
					t.Errorf("%s: no driver-opt", e.Command)
				}
			}
		}
		n, err := spec.ParseNetwork(r)
		if err != nil {
			t.Errorf("%s: %v", e.Command, err)
		}
		got, err := spec.ParseLabels(labels)
		if err != nil {
			t.Errorf("%s: %v", e.Command, err)
		}
		ep, err := spec.ParseEndpoint(spec.EndpointRequest{ID: endpointID, Network: netID, Options: options})
		if err != nil {
			t.Errorf("%s: %v", e.Command, err)
		}
		// Managed is true where the other modes refuse it.
		if ep.ACL == "" {
			ep.ACL = got.ACL
		}
		if e.Kind != "option" {
			n.Controllers = []spec.Controller{"tcp:127.0.0.1:6653"}
		}
		r.FaucetManaged = false
		_, err = spec.ParseNetwork(r)
		if needs := err != nil || spec.CheckPort(n, ep, false) != nil; needs && !e.Managed {
			t.Errorf("%s: not marked as one that needs Faucet", e.Command)
		}
	}
	for _, o := range spec.Options {
		if !o.Later && !shown["option "+o.Name] && o.Name != "ovs.bridge.bind_interface" {
			t.Errorf("option %s has no example", o.Name)
		}
	}
	for _, k := range spec.PortKeys {
		if !k.Later && (!shown["driver-opt "+k.Name] || k.Label != shown["label "+k.Name]) {
			t.Errorf("%s has no example, or one too many", k.Name)
		}
	}
}
