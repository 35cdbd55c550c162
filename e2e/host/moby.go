// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// moby is Docker 29 as a Go module, which no suite has yet.
const moby = "v2.0.0-beta.24"

// Dockerd29 returns the path of a dockerd of Docker 29 in the cache directory, built
// from its source when it is not there (some four minutes).
func Dockerd29(ctx context.Context, cache string, progress io.Writer) (string, error) {
	dir := filepath.Join(cache, "moby-"+moby)
	file := filepath.Join(dir, "dockerd")
	return file, Once(file, func() error {
		fmt.Fprintf(progress, "building dockerd 29 in %s, once, about four minutes\n", dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		work, err := os.MkdirTemp(dir, "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		cmd := exec.CommandContext(ctx, "go", "install", "-tags=exclude_graphdriver_btrfs,no_systemd", "github.com/moby/moby/v2/cmd/dockerd@"+moby)
		cmd.Dir = work // of no module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+work, "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build dockerd 29: %w: %s", err, tail(out, 20))
		}
		return os.Rename(filepath.Join(work, "dockerd"), file)
	})
}
