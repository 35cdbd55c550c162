// SPDX-License-Identifier: Apache-2.0

// Package daemon wires the parts into the running service: the supervisor of
// Open vSwitch, the engine with its appliers, the driver's sockets, the watcher
// of Docker, the status socket and the service manager's notices.
//
// Be aware:
//   - The driver's sockets are served from the first moment, before Open vSwitch
//     is up: Docker waits at a socket, and gives up where there is none.
//   - On the way down the calls in flight are finished first, while the engine
//     still runs. Open vSwitch and the containers' traffic go on.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dovesnap/config"
	"dovesnap/dockerd"
	"dovesnap/faucet"
	"dovesnap/link"
	"dovesnap/nat"
	"dovesnap/ovs"
	"dovesnap/plugin"
	"dovesnap/reconcile"
	"dovesnap/service"
	"dovesnap/spec"
	"dovesnap/status"
	"dovesnap/supervisor"
)

// readyWithin is how long a start of Open vSwitch may hold up those who wait for
// the service, Docker first of all. After it the service is ready and answers
// calls with why it can't yet do them.
const readyWithin = 8 * time.Second

// parts is the wired service.
type parts struct {
	cfg      config.Config
	log      *slog.Logger
	since    time.Time
	sup      *supervisor.Supervisor
	sw       *ovs.Switch
	links    *link.Links
	firewall *nat.Table
	engine   *reconcile.Engine
	courier  *faucet.Courier // nil: Faucet's configuration is the operator's
	watcher  *dockerd.Watcher
	notify   *service.Notifier

	addressed chan struct{} // an uplink got addresses, which belong on its bridge
}

// Run runs the service until ctx ends.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	statusListener, err := status.Listen(ctx, cfg.RunDir) // also refuses a second daemon
	if err != nil {
		return err
	}
	sockets, err := plugin.Listen(cfg.Plugin.Dir, cfg.Plugin.Names)
	if err != nil {
		statusListener.Close()
		return err
	}
	// Everything but the driver's sockets outlives ctx until those have drained.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	p, err := wire(rest, cfg, log)
	if err != nil {
		closeAll(sockets)
		statusListener.Close()
		return errors.Join(err, plugin.RemoveSockets(cfg.Plugin.Dir, cfg.Plugin.Names))
	}
	defer p.firewall.Close() // after Wait: until then it is the engine's
	group, rest := errgroup.WithContext(rest)
	group.Go(func() error { return p.sup.Run(rest) })
	group.Go(func() error {
		// The engine begins once the database is connected, which may have been up
		// all the time: by then it must be known which datapath bridges are to have,
		// or it would give them another and so take their traffic down.
		select {
		case <-p.sup.Decided():
			return p.sw.Run(rest)
		case <-rest.Done():
			return nil
		}
	})
	group.Go(func() error { return p.engine.Run(rest) })
	group.Go(func() error { p.links.Watch(rest, p.addressed); return nil })
	if p.courier != nil {
		group.Go(func() error { return p.courier.Run(rest) })
	}
	group.Go(func() error { return p.watcher.Run(rest) })
	group.Go(func() error { return status.Serve(rest, statusListener, p.status, log) })
	group.Go(func() error { p.tell(rest); return nil })
	group.Go(func() error { p.describe(rest); return nil })
	group.Go(func() error {
		defer stopRest()
		serving, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(rest, stop)() // another part has failed
		server := plugin.NewServer(&plugin.Driver{Engine: p.engine, Controllers: cfg.Controllers,
			FaucetManaged: p.courier != nil, Created: p.watcher.Expect}, log)
		err := server.Run(serving, sockets)
		return errors.Join(err, p.notify.Stopping())
	})
	err = group.Wait()
	return errors.Join(err, plugin.RemoveSockets(cfg.Plugin.Dir, cfg.Plugin.Names))
}

func closeAll(sockets []plugin.Socket) {
	for _, s := range sockets {
		s.Close()
	}
}

func wire(ctx context.Context, cfg config.Config, log *slog.Logger) (*parts, error) {
	p := &parts{cfg: cfg, log: log, since: time.Now()}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("cannot read the boot id: %w", err)
	}
	if p.sup, err = supervisor.New(supervisorConfig(cfg), log); err != nil {
		return nil, err
	}
	if p.firewall, err = nat.New(ctx, log, string(cfg.NAT.Backend)); err != nil {
		return nil, err
	}
	if p.notify, err = service.NewNotifier(); err != nil {
		return nil, err
	}
	p.sw = ovs.New(p.sup.Endpoint(), log)
	p.sw.BeforeRemoval = p.sup.Unpaused
	p.links, p.addressed = newLinks(cfg, log), make(chan struct{}, 1)
	engine := reconcile.Config{
		BootID:   strings.TrimSpace(string(boot)),
		Interval: cfg.Reconcile.Interval,
		Grace:    cfg.Sweep.Grace,
		Datapath: p.datapath,
		Resync:   either(ctx, either(ctx, p.sw.Resync(), p.sup.Changed()), p.addressed),
		Ports:    nat.NewPorts(p.endpointName),
		Ended:    plugin.Ended,
		Labels:   cfg.Faucet.Labels, PortsChanged: p.sw.PortsChanged(),
	}
	if p.courier, err = newCourier(cfg, log); err != nil {
		return nil, err
	}
	if p.courier != nil {
		engine.Faucet = p.courier
	}
	p.engine = reconcile.New(p.sw, engineLinks(p.links), p.firewall, engine, log)
	p.watcher = dockerd.New(dockerd.Config{Host: cfg.Docker.Host, Drivers: cfg.Plugin.Names,
		Interval: min(time.Minute, max(cfg.Sweep.Grace/2, time.Second)), Controllers: cfg.Controllers, Managed: p.courier != nil}, p.engine, log)
	return p, nil
}

// endpointName says what people call an endpoint.
func (p *parts) endpointName(id spec.EndpointID) string {
	if name := p.engine.Names().Containers[id]; name != "" {
		return fmt.Sprintf("container %q", name)
	}
	return fmt.Sprintf("endpoint %q", id.Short())
}

// datapath decides how a network's bridge is made on this host.
func (p *parts) datapath(ctx context.Context, n spec.Network) (userspace, txOff bool) {
	userspace = n.Userspace || p.sup.Status().Datapath == supervisor.NetdevDatapath
	if !userspace {
		return false, false
	}
	tso, err := p.sw.UserspaceTSO(ctx)
	return true, err == nil && !tso
}

// either receives when a or b does, until ctx ends.
func either(ctx context.Context, a, b <-chan struct{}) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-a:
			case <-b:
			}
			select {
			case out <- struct{}{}:
			default: // the one that waits already says it
			}
		}
	}()
	return out
}

// tell keeps the service manager informed.
func (p *parts) tell(ctx context.Context) {
	timer := time.NewTimer(readyWithin)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-p.engine.Ready():
	case <-timer.C:
		p.log.Warn("Open vSwitch is not ready yet; serving without it", "after", readyWithin)
	}
	if err := p.notify.Ready(); err != nil {
		p.log.Warn("the service manager is not told", "err", err)
	}
	if err := p.notify.Watchdog(ctx, p.engine.Alive); err != nil {
		p.log.Warn("the service manager's watchdog is not fed", "err", err)
	}
}

// describe keeps the line that `systemctl status` shows.
func (p *parts) describe(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	last := ""
	for {
		state := p.engine.State()
		line := fmt.Sprintf("%d networks, %d endpoints, %d problems", len(state.Networks), len(state.Endpoints), len(p.engine.Problems()))
		if line != last {
			if err := p.notify.Status(line); err != nil {
				p.log.Debug("the service manager is not told", "err", err)
			}
			last = line
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
