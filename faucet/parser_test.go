// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// venv returns the programs of a Faucet, or skips.
func venv(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("DOVESNAP_FAUCET_VENV"); dir != "" {
		return filepath.Join(dir, "bin")
	}
	path, err := exec.LookPath(checker)
	if err != nil {
		t.Skip("no Faucet: DOVESNAP_FAUCET_VENV names no environment, and check_faucet_config is not in PATH")
	}
	return filepath.Dir(path)
}

// parse has Faucet check a configuration; "" when it is taken.
func parse(t *testing.T, bin, config string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, checker), config)
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	if i := strings.Index(string(out), "InvalidConfigError"); i >= 0 {
		return string(out[i:])
	}
	return err.Error() + ": " + string(out)
}

// python runs a program in Faucet's Python.
func python(t *testing.T, bin, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "python3"), append([]string{"-W", "ignore", "-c", program}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return string(out)
}

func decodeJSON(t *testing.T, text string) (out []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	slices.Sort(out)
	return out
}
