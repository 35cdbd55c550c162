// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"log/slog"

	"dovesnap/config"
	"dovesnap/service"
	"dovesnap/supervisor"
)

func supervisorConfig(cfg config.Config) supervisor.Config {
	return supervisor.Config{Mode: supervisor.Mode(cfg.OVS.Mode), RunDir: cfg.OVS.RunDir, DBDir: cfg.OVS.DBDir,
		StateDir: cfg.RunDir, Units: service.IsUnit()}
}

// RunOVS becomes ovsdb-server or ovs-vswitchd.
func RunOVS(ctx context.Context, cfg config.Config, name string, log *slog.Logger) error {
	return supervisor.Exec(ctx, supervisorConfig(cfg), name, log)
}

// AwaitOVS returns when that daemon is ready.
func AwaitOVS(ctx context.Context, cfg config.Config, name string, log *slog.Logger) error {
	return supervisor.AwaitReady(ctx, supervisorConfig(cfg), name, supervisor.MainPID(), log)
}

// SaveFlows saves the flows of our bridges for the next start of ovs-vswitchd.
func SaveFlows(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return supervisor.SaveFlows(ctx, supervisorConfig(cfg), log)
}

// RestartOVS restarts both daemons without losing flows.
func RestartOVS(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return supervisor.Restart(ctx, supervisorConfig(cfg), log)
}
