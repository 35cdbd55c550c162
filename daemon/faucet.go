// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"dovesnap/config"
	"dovesnap/faucet"
	"dovesnap/faucet/rpc"
	"dovesnap/status"
)

// newCourier returns who brings Faucet its configuration; nil when the operator
// writes it.
func newCourier(cfg config.Config, log *slog.Logger) (*faucet.Courier, error) {
	switch c := cfg.Faucet; c.Mode {
	case config.FaucetFile:
		return faucet.NewFile(fileConfig(cfg), log), nil
	case config.FaucetRPC:
		server, err := rpcServer(cfg)
		if err != nil {
			return nil, err
		}
		owner, err := hostID()
		if err != nil {
			return nil, err
		}
		there := faucet.RPCConfig{Server: server, Metrics: c.Metrics, Reload: c.Reload, Owner: owner, State: fileConfig(cfg).State}
		if there.Reload == faucet.ReloadAuto {
			there.Reload = faucet.ReloadWatch // a faucet.service here need not be the server's
		}
		return faucet.NewRPC(there, log)
	}
	return nil, nil
}

func fileConfig(cfg config.Config) faucet.FileConfig {
	c := cfg.Faucet
	return faucet.FileConfig{Config: c.Config, File: c.File, Metrics: c.Metrics, Reload: c.Reload, State: filepath.Join(cfg.RunDir, "faucet")}
}

// rpcServer fills in what the configuration leaves to rpc.keydir.
func rpcServer(cfg config.Config) (rpc.Config, error) {
	c := cfg.Faucet.RPC
	server := rpc.Config{Address: c.Address, ServerName: c.ServerName}
	if server.ServerName == "" {
		host, _, err := net.SplitHostPort(c.Address)
		if err != nil {
			return server, err
		}
		server.ServerName = host
	}
	ca, cert, key := rpc.KeyDir(c.KeyDir, c.Client, server.ServerName)
	server.CA, server.Cert, server.Key = cmp.Or(c.CA, ca), cmp.Or(c.Cert, cert), cmp.Or(c.Key, key)
	return server, nil
}

// hostID tells this host from others: machine-id(5) asks that the id itself be
// kept to the machine.
func hostID() (string, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if text := strings.TrimSpace(string(id)); err == nil && text != "" {
		sum := sha256.Sum256([]byte("dovesnap " + text))
		return hex.EncodeToString(sum[:4]), nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("cannot tell this host from others: %w", err)
	}
	return strings.ReplaceAll(name, " ", "-"), nil
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
