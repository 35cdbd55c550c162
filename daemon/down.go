// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"dovesnap/config"
	"dovesnap/faucet"
	"dovesnap/link"
	"dovesnap/nat"
	"dovesnap/ovs"
	"dovesnap/plugin"
	"dovesnap/spec"
	"dovesnap/status"
	"dovesnap/supervisor"
)

// Down stops the Open vSwitch that dovesnap started.
func Down(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	return supervisor.Down(ctx, supervisorConfig(cfg), log)
}

// cleanupWithin bounds the wait for Open vSwitch, which cleanup starts when it
// is down: the bridges are in its database.
const cleanupWithin = 30 * time.Second

// Cleanup removes what dovesnap has made on the host, and tells a faucetconfrpc
// server nothing. What fails does not keep it from the rest. An Open vSwitch in which
// others have bridges, or that others started, goes on.
func Cleanup(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	foreign, err := cleanSwitch(ctx, cfg, log)
	uninstalled := errors.Is(err, supervisor.ErrNotInstalled)
	if uninstalled {
		log.Warn("Open vSwitch is not installed any more: bridges of dovesnap's may be left in its database", "dir", cfg.OVS.DBDir)
		err = nil
	}
	errs := []error{err, cleanLinks(ctx, cfg, log), nat.Cleanup(ctx), faucet.Cleanup(fileConfig(cfg)), status.RemoveSocket(cfg.RunDir)}
	of := supervisorConfig(cfg)
	switch {
	case err != nil: // unknown whose bridges are left
	case uninstalled:
		errs = append(errs, supervisor.Down(ctx, of, log), supervisor.RemoveCopies(of))
	case len(foreign) > 0:
		log.Warn("Open vSwitch goes on: it has bridges that are not dovesnap's", "bridge", foreign)
		errs = append(errs, supervisor.RemoveState(of), supervisor.RemoveCopies(of))
	default:
		err := supervisor.Down(ctx, of, log)
		if err == nil {
			err = supervisor.RemoveDatabase(of)
		}
		if errors.Is(err, supervisor.ErrForeign) {
			err = errors.Join(supervisor.RemoveState(of), supervisor.RemoveCopies(of))
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, plugin.RemoveSockets(cfg.Plugin.Dir, cfg.Plugin.Names))...)
}

// cleanSwitch deletes our bridges, with their ports, and names those of others.
func cleanSwitch(ctx context.Context, cfg config.Config, log *slog.Logger) (foreign []string, err error) {
	if absent(filepath.Join(cfg.OVS.DBDir, "conf.db")) && absent(filepath.Join(cfg.OVS.RunDir, "db.sock")) {
		return nil, nil // neither a database nor anybody who serves one
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupWithin)
	defer cancel()
	sup, err := supervisor.New(supervisorConfig(cfg), log)
	if err != nil {
		return nil, err
	}
	sw := ovs.New(sup.Endpoint(), log)
	sw.BeforeRemoval = sup.Unpaused
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return sup.Run(running) })
	group.Go(func() error { return sw.Run(running) })
	defer func() {
		cancel()
		err = errors.Join(err, group.Wait())
	}()
	select {
	case <-running.Done(): // the group's error says why
		return nil, errors.New("cannot remove bridges: Open vSwitch does not run")
	case <-sup.Ready():
	}
	select {
	case <-running.Done():
		return nil, errors.New("cannot remove bridges: Open vSwitch's database does not answer")
	case <-sw.Resync():
	}
	links := newLinks(cfg, log)
	state, err := sw.Load(ctx)
	errs := []error{err}
	for id, n := range state.Networks {
		log.Info("removing bridge", "network", id.Short(), "bridge", n.Bridge)
		if err := links.ReturnUplinks(ctx, n); err != nil {
			errs = append(errs, err) // the host's addresses would go with the bridge
			continue
		}
		errs = append(errs, sw.DeleteBridge(ctx, id), links.ReleaseNetwork(ctx, n))
	}
	errs = append(errs, sup.RemoveSettings(ctx))
	foreign, err = sw.Foreign(ctx)
	return foreign, errors.Join(append(errs, err)...)
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// newLinks keeps what is moved off the host's interfaces in the run directory,
// which is gone after a reboot, like the links.
func newLinks(cfg config.Config, log *slog.Logger) *link.Links {
	return link.New(log).RecordIn(filepath.Join(cfg.RunDir, "uplinks"))
}

// cleanLinks deletes our veth pairs, those in containers too, and gives back what
// was moved to a bridge that is gone.
func cleanLinks(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	links := newLinks(cfg, log)
	found, err := links.Endpoints(ctx)
	errs := []error{err, links.SweepUplinks(ctx, func(spec.NetworkID) bool { return false })}
	for _, f := range found {
		log.Info("removing link", "port", f.Link, "endpoint", f.Alias.Endpoint.Short())
		errs = append(errs, links.DeleteVeth(ctx, f.Alias.Endpoint))
	}
	return errors.Join(errs...)
}
