// SPDX-License-Identifier: Apache-2.0

package host

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// StartDockerd starts dockerd, with further flags, and returns when its API
// answers. Everything is where a distribution's dockerd has it, so that plain
// "docker" works in the host.
func (h *Host) StartDockerd(ctx context.Context, flags ...string) (*Process, error) {
	p, err := h.Start("dockerd", append([]string{"dockerd", "--log-level=warn"}, flags...)...)
	if err != nil {
		return nil, err
	}
	err = Await(ctx, "dockerd's API", func() error {
		_, err := h.Docker(ctx, "version", "--format", "{{.Server.Version}}")
		return errors.Join(err, p.ended())
	})
	return p, err
}

// Docker runs docker with args in the host and returns what it printed, without
// the newline at the end.
func (h *Host) Docker(ctx context.Context, args ...string) (string, error) {
	out, err := h.Run(ctx, append([]string{"docker"}, args...)...)
	return strings.TrimSpace(out), err
}

// ImportBusybox makes the image busybox, as on Docker Hub in what tests need of
// it (applets in /bin, CMD sh), from the host's own static busybox.
func (h *Host) ImportBusybox(ctx context.Context) error {
	applets, err := h.Run(ctx, "busybox", "--list")
	if err != nil {
		return err
	}
	var image bytes.Buffer
	out := tar.NewWriter(&image)
	for _, dir := range []string{"bin/", "etc/", "root/", "tmp/"} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o1777}); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(filepath.Join(h.Root, "usr/bin/busybox"))
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := out.Write(program); err != nil {
		return err
	}
	for _, applet := range strings.Fields(applets) {
		if applet == "busybox" {
			continue
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if _, err := h.RunInput(ctx, &image, "docker", "import", "--change", `CMD ["sh"]`, "-", "busybox"); err != nil {
		return fmt.Errorf("cannot import image: %w", err)
	}
	return nil
}
