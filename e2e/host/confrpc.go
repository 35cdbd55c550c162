// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"path/filepath"
)

// FaucetConfRPCAddress is where a host's faucetconfrpc listens.
const FaucetConfRPCAddress = "127.0.0.1:59999"

// StartFaucetConfRPC starts faucetconfrpc from venv, with keys (files of the
// machine's) and the directory in which StartFaucet's configuration is.
func (h *Host) StartFaucetConfRPC(ctx context.Context, venv, ca, cert, key string) (*Process, error) {
	dir := h.faucetDir()
	p, err := h.startPython("faucetconfrpc", venv, dir, []string{"faucetconfrpc_server",
		"--config_dir", dir, "--host", "127.0.0.1", "--port", "59999", "--prom_port", "0", "--cert", cert, "--key", key, "--cacert", ca},
		"TMPDIR="+h.Logs, "HOME="+dir)
	if err != nil {
		return nil, err
	}
	return p, Await(ctx, "faucetconfrpc to listen", func() error {
		_, err := h.Run(ctx, "sh", "-c", "ss -ltn | grep -q 127.0.0.1:59999")
		return err
	})
}

// FaucetPath returns where a file of the host's FaucetDir is on the machine.
func (h *Host) FaucetPath(name string) string { return filepath.Join(h.faucetDir(), name) }
