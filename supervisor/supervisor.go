// SPDX-License-Identifier: Apache-2.0

// Package supervisor keeps Open vSwitch running: ovsdb-server and ovs-vswitchd,
// each under a state machine of its own, so that the death of one never
// restarts the other. Where somebody else already runs Open vSwitch it only
// watches (attach mode).
//
// Contract: [Supervisor.Run] blocks until its context ends and then leaves both
// daemons running; the next Run adopts them. [Down] is what stops them. Nothing
// here gives up: a child that cannot be started is tried again, at most 36 s
// later, until the context ends.
//
// Be aware:
//   - A child is ours when its environment carries our mark (see mark): that is
//     set by the exec that creates it, so there is no moment, and no lost state
//     directory, in which we would not know our own child again.
//   - Only processes found by pidfile lock or by that mark are ever signalled,
//     and only through a pidfd, which cannot hit a reused pid.
//   - Under systemd the daemons are units of their own (Config.Units; [Exec],
//     [AwaitReady] and [SaveFlows] are what those units run), started from here
//     and restarted by whoever notices first.
//   - Without those units they are children, and dovesnap's own unit must say
//     KillMode=process, or stopping it takes them with it.
//   - In attach mode nothing is written: no row, no file of Open vSwitch.
package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// Supervisor runs or watches one Open vSwitch installation.
type Supervisor struct {
	cfg     Config
	log     *slog.Logger
	first   sync.Once
	decided chan struct{}
	ready   chan struct{}
	changed chan struct{}

	mu       sync.Mutex
	status   Status
	children []*child // managed
}

// New checks the configuration. It touches nothing on the host.
func New(cfg Config, log *slog.Logger) (*Supervisor, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Supervisor{cfg: cfg, log: log, decided: make(chan struct{}), ready: make(chan struct{}), changed: make(chan struct{}, 1)}
	s.status.Endpoint = s.Endpoint()
	return s, nil
}

// Endpoint is the OVSDB address, in OVSDB's own notation.
func (s *Supervisor) Endpoint() string { return "unix:" + s.cfg.socket() }

// Decided is closed when Run knows whose Open vSwitch this is and which datapath
// the kernel offers. Until then Status says neither, and must not be acted on.
func (s *Supervisor) Decided() <-chan struct{} { return s.decided }

// Ready is closed when both daemons first answer.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Changed receives a value after ovsdb-server or ovs-vswitchd was replaced by a
// new process, and is ready again: whoever drives Open vSwitch must verify its
// work. Several restarts may arrive as one value; there is one reader.
func (s *Supervisor) Changed() <-chan struct{} { return s.changed }

// Run decides whose Open vSwitch this is and then supervises or watches it until
// ctx ends, which is not an error. It fails early, with a cause that the
// operator can act on, when Open vSwitch is not installed, when another dovesnap
// supervises it, or when managed mode meets an Open vSwitch of somebody else.
func (s *Supervisor) Run(ctx context.Context) error {
	unlock, err := s.cfg.lock()
	if err != nil {
		return err
	}
	defer unlock()

	managed, err := s.cfg.decide(ctx)
	if err != nil {
		return err
	}
	s.learnDatapath()

	runners := []func(context.Context){s.watchStrangers}
	if managed {
		s.setMode(Managed)
		runners = append(runners, s.manage()...)
	} else {
		s.setMode(Attached)
		s.log.Info("attached to an Open vSwitch that dovesnap does not run", "endpoint", s.Endpoint())
		runners = append(runners, s.attach)
	}
	close(s.decided)
	var wg sync.WaitGroup
	for _, run := range runners {
		wg.Add(1)
		go func() { defer wg.Done(); run(ctx) }()
	}
	wg.Wait()
	return nil
}

// manage makes what runs both children. ovs-vswitchd waits for the first
// readiness of ovsdb-server only: from then on each lives and restarts by
// itself.
func (s *Supervisor) manage() []func(context.Context) {
	dbReady := make(chan struct{})
	db := s.newChild(ovsdbServer, s.launcher(ovsdbServer), func() { close(dbReady) })
	vs := s.newChild(ovsVswitchd, s.launcher(ovsVswitchd), s.isReady)
	s.mu.Lock()
	s.children = []*child{db, vs}
	s.mu.Unlock()
	return []func(context.Context){
		db.run,
		func(ctx context.Context) {
			select {
			case <-dbReady:
				vs.run(ctx)
			case <-ctx.Done():
			}
		},
		newTail(s.cfg.logFile(ovsdbServer), s.cfg.LogLimit, s.log.With("child", ovsdbServer)).run,
		newTail(s.cfg.logFile(ovsVswitchd), s.cfg.LogLimit, s.log.With("child", ovsVswitchd)).run,
	}
}

// launcher is the daemon itself, or the daemon as systemd starts it.
func (s *Supervisor) launcher(name string) daemon {
	d := newDaemon(s.cfg, name, s.log)
	if s.cfg.Units {
		return unit{d, s.cfg, name}
	}
	return d
}

// newChild calls first when it is ready for the first time, and tells of change
// every time after.
func (s *Supervisor) newChild(name string, d daemon, first func()) *child {
	c := newChild(name, d, s.cfg, wallClock{}, s.log.With("child", name))
	var once sync.Once
	c.onReady = func() {
		tell := s.tellChanged
		once.Do(func() { tell = first })
		tell()
	}
	return c
}

func (s *Supervisor) isReady() { s.first.Do(func() { close(s.ready) }) }

func (s *Supervisor) tellChanged() {
	select {
	case s.changed <- struct{}{}:
	default: // the one already waiting says it too
	}
}

// lock makes this the only supervisor of StateDir; the kernel frees it when we
// die. Down takes it too, so that it never races a Run that would restart what
// it stops.
func (c Config) lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the state directory: %w", err)
	}
	return flock(c.lockFile())
}
