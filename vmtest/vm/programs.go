// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"dovesnap/e2e/host"
)

// Programs of our own that every guest has in /usr/local/sbin.
type programs struct {
	paths map[string]string // by name
	key   string
}

var sources = []string{"./vmtest/agent/vmagent", "./vmtest/stream"}

var (
	once  sync.Once
	built programs
	fault error
)

// buildPrograms builds them, once per process, in the cache.
func buildPrograms(ctx context.Context) (programs, error) {
	once.Do(func() { built, fault = doBuild(ctx) })
	return built, fault
}

func doBuild(ctx context.Context) (programs, error) {
	p := programs{paths: map[string]string{}}
	root, err := moduleRoot(ctx)
	if err != nil {
		return p, err
	}
	dir := filepath.Join(host.CacheDir(), "vm", "programs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return p, err
	}
	own, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(own)
	for _, source := range sources {
		name := filepath.Base(source)
		fresh := filepath.Join(own, name)
		if err := host.Build(ctx, root, false, "build", "-trimpath", "-ldflags=-s -w", "-o", fresh, source); err != nil {
			return p, err
		}
		text, err := os.ReadFile(fresh)
		if err != nil {
			return p, err
		}
		p.key = key(p.key, string(text))
		p.paths[name] = filepath.Join(dir, name)
		// Others build the same file.
		if err := os.Rename(fresh, p.paths[name]); err != nil {
			return p, err
		}
	}
	return p, nil
}

// moduleRoot returns the directory of go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}
