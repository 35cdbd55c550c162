// SPDX-License-Identifier: Apache-2.0

// Package ovs keeps dovesnap's bridges and ports in Open vSwitch through OVSDB.
//
// The contract: each change is one OVSDB transaction; a method that creates
// returns only when ovs-vswitchd has applied it (next_cfg/cur_cfg) and has been
// read back, since a commit alone says nothing about whether a port works.
// Every method may be called again with the same value at any moment.
//
// Be aware:
//   - Rows that dovesnap did not make are never changed or removed.
//   - Nothing is cached: each method asks the server for the rows it needs, by
//     name or mark. libovsdb's cache hands on an update table by table, so that
//     a reader sees half of it; and one owner of the State needs no second copy.
//     The monitor behind PortsChanged is a bell: it says that there is something
//     to ask for, and what it is told is not looked at.
//   - After a lost connection Resync tells the engine to look at everything.
//   - Creations are committed durably: a plain commit loses acknowledged rows
//     in a power cut. The removal of an endpoint is not, since an endpoint of
//     an earlier boot is swept at the next start anyway.
package ovs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	dialTimeout  = 5 * time.Second
	echoInterval = 5 * time.Second
	echoTimeout  = 5 * time.Second
	retryDelay   = 500 * time.Millisecond
	settleWithin = 3 * time.Second // that a new controller may take
)

// errNotConnected is what every method answers while OVSDB is away.
var errNotConnected = errors.New("Open vSwitch's database is not connected; dovesnap status says more")

// Switch is the Open vSwitch behind one OVSDB endpoint.
type Switch struct {
	endpoint string
	log      *slog.Logger
	resync   chan struct{}
	// portsChanged is rung by the monitor of ports.
	portsChanged chan struct{}
	// settleWithin is the constant, but in tests.
	settleWithin time.Duration
	// BeforeRemoval, if set, is waited for before a bridge is removed; what it
	// returns is called when vswitchd has removed it.
	BeforeRemoval func(ctx context.Context) (after func(), err error)

	mu      sync.Mutex
	session *session // nil while not connected
}

// New returns a Switch for an endpoint such as unix:/run/openvswitch/db.sock.
// It connects in Run.
func New(endpoint string, log *slog.Logger) *Switch {
	return &Switch{endpoint: endpoint, log: log, resync: make(chan struct{}, 1), portsChanged: make(chan struct{}, 1), settleWithin: settleWithin}
}

// Resync receives after every (re)connect: what was known may be stale.
func (s *Switch) Resync() <-chan struct{} { return s.resync }

// Connected reports whether OVSDB answers.
func (s *Switch) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session != nil
}

// Run keeps a connection until ctx ends. Each connection is a client of its
// own: libovsdb v0.8.1's built-in reconnect panics when its back-off ends, and
// re-emits rows without telling which have gone.
func (s *Switch) Run(ctx context.Context) error {
	var last string
	for {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if text := fmt.Sprint(err); text != last {
			s.log.Warn("Open vSwitch's database is away", "endpoint", s.endpoint, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryDelay):
		}
	}
}

// serve connects, publishes the session and watches it until it is lost.
func (s *Switch) serve(ctx context.Context) error {
	ses, err := dial(ctx, s.endpoint)
	if err != nil {
		return err
	}
	defer ses.client.Close()
	lost, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	go func() { // libovsdb drops the notice when nobody is receiving; the echo finds out then
		select {
		case <-ses.client.DisconnectNotify():
			close(lost)
		case <-done:
		}
	}()
	defer s.accompany(ctx)()
	s.publish(ses)
	defer s.publish(nil)
	s.log.Info("connected to Open vSwitch's database", "endpoint", s.endpoint)
	select {
	case s.resync <- struct{}{}:
	default:
	}
	tick := time.NewTicker(echoInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lost:
			return errors.New("the connection was closed")
		case <-tick.C:
			if err := ses.echo(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *Switch) publish(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = ses
}

func (s *Switch) current() (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return nil, errNotConnected
	}
	return s.session, nil
}

// session is one connection.
type session struct {
	client client.Client
	root   string // UUID of the only row of table Open_vSwitch
}

func dial(ctx context.Context, endpoint string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	db, err := model.NewClientDBModel(tableRoot, map[string]model.Model{})
	if err != nil {
		return nil, err
	}
	c, err := client.NewOVSDBClient(db, client.WithEndpoint(endpoint))
	if err != nil {
		return nil, err
	}
	if err := c.Connect(ctx); err != nil {
		return nil, fmt.Errorf("cannot connect to %q: %w", endpoint, err)
	}
	ses := &session{client: c}
	roots, err := ses.read(ctx, selectOp(tableRoot, nil, "_uuid"))
	if err == nil && len(roots[0]) != 1 {
		err = fmt.Errorf("Open vSwitch's database is not initialised: %d rows in table %s", len(roots[0]), tableRoot)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	ses.root = roots[0][0].uuid()
	return ses, nil
}

func (ses *session) echo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	if err := ses.client.Echo(ctx); err != nil {
		return fmt.Errorf("no echo within %s: %w", echoTimeout, err)
	}
	return nil
}

// transact runs ops in one transaction, which fails as a whole.
func (ses *session) transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	results, err := ses.client.Transact(ctx, ops...)
	if err != nil {
		return nil, fmt.Errorf("no answer from Open vSwitch's database: %w", err)
	}
	for _, r := range results { // one more than ops when the commit itself failed (RFC 7047 section 4.1.3)
		if r.Error != "" {
			return nil, newRefusal(r)
		}
	}
	if len(results) < len(ops) {
		return nil, fmt.Errorf("Open vSwitch's database answered %d of %d operations", len(results), len(ops))
	}
	return results, nil
}
