// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dovesnap/faucet/rpc"
)

// RPCConfig says how a Faucet elsewhere is configured.
type RPCConfig struct {
	Server  rpc.Config
	Metrics string // URL of Faucet's Prometheus exporter
	Reload  string // as in FileConfig, for a Faucet on this host
	// Owner tells this host's part of the server's file from other hosts'. It must
	// stay the same, and have no space.
	Owner string
	State string // as in FileConfig
}

// NewRPC returns a Courier that goes through faucetconfrpc. It does not connect.
func NewRPC(cfg RPCConfig, log *slog.Logger) (*Courier, error) {
	client, err := rpc.Open(cfg.Server)
	if err != nil {
		return nil, err
	}
	b := newRPCBackend(client, cfg.Owner, "faucet.yaml at "+cfg.Server.Address, newMetrics(cfg.Metrics))
	b.reload = cfg.Reload
	return newCourier(b, cfg.Owner, cfg.State, log), nil
}

const (
	// A look costs the server reading its whole file.
	lookEvery  = idle
	eagerEvery = 2 * time.Second
	lookLimit  = 10 * time.Second
	freshLimit = time.Second // Docker waits meanwhile
)

// rpcBackend changes our part of a server's file.
type rpcBackend struct {
	s       server
	owner   string
	where   string
	metrics metrics
	reload  string

	lookAt time.Time
	delay  time.Duration // after a look that failed
	err    error
	told   int // since the last delivery

	versions map[string]string // of ours, by the version of the whole file

	mu   sync.Mutex // guards what follows, for fresh
	last seen
}

// answer is what the server has.
type answer struct {
	seen
	held  Config
	whole string // version of all of it
}

func newRPCBackend(s server, owner, where string, m metrics) *rpcBackend {
	return &rpcBackend{s: s, owner: owner, where: where, metrics: m, versions: map[string]string{}}
}

func (r *rpcBackend) mode() string { return "rpc" }

func (r *rpcBackend) sweep() error { return nil } // the server's files are the server's

func (r *rpcBackend) hint() string {
	return "does it watch the files that faucetconfrpc writes (FAUCET_CONFIG_STAT_RELOAD=1) or is it told (faucet.reload), and is faucet.metrics its own?"
}

func (r *rpcBackend) look(ctx context.Context, eager bool) (seen, error) {
	if eager && r.err == nil {
		if soon := time.Now().Add(eagerEvery); soon.Before(r.lookAt) {
			r.lookAt = soon
		}
	}
	if time.Now().Before(r.lookAt) {
		return r.last, r.err
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var now answer
	if now, r.err = r.ask(ctx); r.err != nil {
		r.delay = min(max(2*r.delay, firstTry), lastTry)
		r.lookAt = time.Now().Add(r.delay)
		return r.last, r.err
	}
	r.delay, r.lookAt = 0, time.Now().Add(lookEvery)
	r.take(now)
	return r.last, nil
}

// take remembers an answer; like look and deliver, it is for one goroutine.
func (r *rpcBackend) take(now answer) {
	if r.versions[now.whole] = now.version; len(r.versions) > 1000 {
		r.versions = map[string]string{now.whole: now.version}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = now.seen
}

// ask reads the server's file, and the names of the ACLs in those that it includes.
func (r *rpcBackend) ask(ctx context.Context) (answer, error) {
	text, err := r.s.Config(ctx)
	if err != nil {
		return answer{}, err
	}
	ours, others, err := split(text, r.owner, r.where)
	if err != nil {
		return answer{}, err
	}
	names, err := r.s.ACLs(ctx)
	switch {
	case err == nil:
		others = others.withACLs(names)
	case !errors.Is(err, rpc.ErrRefused): // as it does while there is no datapath
		return answer{}, err
	}
	now := seen{others: others, ours: ours.text()}
	now.version, now.state = version(now.ours), others.state()
	return answer{now, ours, version(text)}, nil
}

// text is String, but "" when there is nothing of ours.
func (c Config) text() string {
	if len(c.DPs)+len(c.VLANs)+len(c.ACLs) == 0 {
		return ""
	}
	return c.String()
}

func (r *rpcBackend) fresh() (Others, error) {
	ctx, cancel := context.WithTimeout(context.Background(), freshLimit)
	defer cancel()
	now, err := r.ask(ctx)
	if err == nil {
		return now.others, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.others.Where != "" {
		return r.last.others, nil // the last word of a server that does not answer
	}
	return Others{}, err
}

// check leaves it to the server, which checks each change.
func (r *rpcBackend) check(context.Context, Config, Config) error { return nil }

func (r *rpcBackend) deliver(ctx context.Context, c Config) (delivered, error) {
	now, err := r.ask(ctx)
	if err != nil {
		return delivered{}, err
	}
	r.take(now)
	r.told = 0
	err = apply(ctx, r.s, now.held, c, rpc.ErrUnreachable)
	now, asked := r.ask(ctx)
	if asked != nil {
		r.lookAt = time.Time{}
		return delivered{}, errors.Join(err, asked)
	}
	r.take(now)
	r.lookAt = time.Now().Add(lookEvery)
	return delivered{ours: now.ours, version: now.version}, err
}

// tell leaves it to a Faucet that watches its files, if there is no other way. When
// that does not help, the operator may have edited the file, so that we don't know by
// which hash Faucet knows it; the server writes it anew when it merges what is there.
func (r *rpcBackend) tell(ctx context.Context) error {
	if r.told++; r.told < 3 {
		return reload(ctx, r.reload)
	}
	err := r.s.Merge(ctx, block(part{ACLs: ownACLs()}))
	r.lookAt = time.Time{}
	return errors.Join(err, reload(ctx, r.reload))
}

func (r *rpcBackend) loaded(ctx context.Context) (loaded, error) {
	got, err := r.metrics.scrape(ctx)
	if err != nil {
		return loaded{}, err
	}
	out := loaded{refused: got.refused, sent: got.sent}
	for _, hash := range got.hashes {
		if v, known := r.versions[hash]; known {
			out.versions = append(out.versions, v)
		}
	}
	return out, nil
}
