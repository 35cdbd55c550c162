// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"dovesnap/config"
	"dovesnap/faucet"
	"dovesnap/status"
)

// newCourier returns who brings Faucet its configuration; nil when the operator
// writes it.
func newCourier(cfg config.Config, log *slog.Logger) (*faucet.Courier, error) {
	switch cfg.Faucet.Mode {
	case config.FaucetFile:
		return faucet.NewFile(faucet.FileConfig{Config: cfg.Faucet.Config, File: cfg.Faucet.File, Metrics: cfg.Faucet.Metrics,
			Reload: cfg.Faucet.Reload, State: filepath.Join(cfg.RunDir, "faucet")}, log), nil
	case config.FaucetRPC:
		return nil, fmt.Errorf("cannot use faucet.mode rpc: not available yet")
	}
	return nil, nil
}

// FaucetInit has the operator's faucet.yaml include dovesnap's file, and says so.
func FaucetInit(cfg config.Config) (string, error) {
	changed, line, err := faucet.Init(cfg.Faucet.Config, cfg.Faucet.File)
	if err != nil || !changed {
		return line, err
	}
	return fmt.Sprintf("added to %s: %s", cfg.Faucet.Config, line), nil
}

func (p *parts) faucetStatus() status.Faucet {
	if p.courier == nil {
		return status.Faucet{Mode: string(config.FaucetOff)}
	}
	s := p.courier.Status()
	return status.Faucet{Mode: s.Mode, Delivered: s.Delivered, Confirmed: s.Confirmed, LastError: s.LastError}
}
