// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// analyze returns systemd-analyze, and a copy of the units in which the program
// is one that exists.
func analyze(t *testing.T) (tool, dir string) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir = t.TempDir()
	for _, unit := range append([]string{Main}, Others...) {
		text, err := Units.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(Program), []byte("/bin/true"))
		if err := os.WriteFile(filepath.Join(dir, unit), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tool, dir
}

// TestSystemdReadsUnits has systemd look for mistakes.
func TestSystemdReadsUnits(t *testing.T) {
	tool, dir := analyze(t)
	verify := func() []byte {
		args := []string{"verify", "--man=no"}
		for _, unit := range append([]string{Main}, Others...) {
			args = append(args, filepath.Join(dir, unit))
		}
		out, _ := exec.CommandContext(t.Context(), tool, args...).CombinedOutput() // its words are judged, which name the file
		return out
	}
	if out := verify(); bytes.Contains(out, []byte("dovesnap")) {
		t.Errorf("%s", out)
	}
	file := filepath.Join(dir, Main)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte("KillMode=process"), []byte("KillMode=proces"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := verify(); !bytes.Contains(out, []byte("kill mode")) {
		t.Errorf("a mistake is not found: %s", out)
	}
}

// TestExposure holds the units to what `systemd-analyze security` makes of them:
// tenths, lower is better. That of the daemon is what the project promises; those
// of Open vSwitch's daemons are recorded, so that they do not grow unseen.
func TestExposure(t *testing.T) {
	tool, dir := analyze(t)
	for unit, most := range map[string]string{Main: "25", "dovesnap-ovsdb.service": "41", "dovesnap-vswitchd.service": "52"} {
		out, err := exec.CommandContext(t.Context(), tool, "security", "--offline=true", "--threshold="+most, filepath.Join(dir, unit)).CombinedOutput()
		summary := regexp.MustCompile("Overall exposure level.*").Find(out)
		if err != nil || summary == nil {
			t.Errorf("%s: more than %s: %v\n%s", unit, most, err, out)
		}
		t.Logf("%s", summary)
	}
}

// TestSocketsAreRootsOnly: the socket's unit is the first to make /run/docker at a
// boot, which dockerd then leaves as it is.
func TestSocketsAreRootsOnly(t *testing.T) {
	text, err := Units.ReadFile("dovesnap.socket")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"SocketMode=0600", "DirectoryMode=0700"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// TestEveryCapabilityHasItsReason: each that the daemon keeps is explained above.
func TestEveryCapabilityHasItsReason(t *testing.T) {
	for _, unit := range []string{Main, "dovesnap-ovsdb.service", "dovesnap-vswitchd.service"} {
		text, err := Units.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		_, after, found := strings.Cut(string(text), "\nCapabilityBoundingSet=")
		if !found {
			t.Fatalf("%s bounds no capabilities", unit)
		}
		set, _, _ := strings.Cut(after, "\n")
		comments, _, _ := strings.Cut(string(text), "\nCapabilityBoundingSet=")
		for _, capability := range strings.Fields(set) {
			if !strings.Contains(comments, capability) {
				t.Errorf("%s keeps %s and does not say why", unit, capability)
			}
		}
	}
}
