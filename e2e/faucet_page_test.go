// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// blocks returns the indented blocks of a section of a page, as they stand there.
func blocks(t *testing.T, page, section string) (out []string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	inside := false
	for _, line := range strings.Split(rest, "\n") {
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case !indented && line != "":
			inside = false
		case indented && !inside:
			out, inside = append(out, code+"\n"), true
		case indented:
			out[len(out)-1] += code + "\n"
		}
	}
	return out
}

// What docs/faucet.md says to do for mode file, done.
func TestFaucetPage(t *testing.T) {
	t.Parallel()
	var settings, operators, commands string
	for _, b := range blocks(t, "../docs/faucet.md", "file") {
		switch {
		case strings.HasPrefix(b, "faucet:"):
			settings = b
		case strings.HasPrefix(b, "acls:"):
			operators = b
		case strings.HasPrefix(b, "docker "):
			commands = b
		}
	}
	if settings == "" || operators == "" || strings.Count(commands, "\n") != 3 {
		t.Fatalf("the page has other blocks: %q %q %q", settings, operators, commands)
	}
	h := newHost(t, host.Suites[1])
	h.ready()
	h.faucet(operators)
	if err := h.WriteFile("/etc/dovesnap/dovesnap.yaml", settings, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Install(must[string](t)(binary()), host.Program); err != nil {
		t.Fatal(err)
	}
	h.run(host.Program, "faucet", "init")
	h.dovesnap("--faucet-reload=pidfile:" + host.FaucetPIDFile) // a test host has no systemd
	h.run("sh", "-e", "-c", commands)
	h.reaches("web", "172.12.0.1")
	h.seenAs("quiet")
	if h.pings("web", "172.12.0.3") == nil || h.pings("quiet", "172.12.0.1") == nil {
		t.Error("a container answers a ping that its ACL forbids")
	}
}
