// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"dovesnap/whole"
)

// FileConfig says where the file mode's files are.
type FileConfig struct {
	Config  string // the operator's faucet.yaml
	File    string // ours, which his includes
	Metrics string // URL of Faucet's Prometheus exporter
	Reload  string // how Faucet is told: ReloadAuto, ReloadWatch, "systemd:UNIT" or "pidfile:PATH"
	// State is where the Courier remembers, over a restart of dovesnap, what
	// Faucet may still have in force; in a directory that is ours and that a reboot
	// empties. Beside it, for moments, is what Faucet's own check reads.
	State string
}

// Defaults of the file mode.
const (
	DefaultConfig  = "/etc/faucet/faucet.yaml"
	DefaultFile    = "/etc/faucet/dovesnap.yaml"
	DefaultMetrics = "http://127.0.0.1:9302"
)

// fileBackend writes our file beside the operator's.
type fileBackend struct {
	cfg     FileConfig
	reader  *reader
	stamp   stamp // of our file when it was read last
	ours    string
	metrics metrics
}

func newFileBackend(cfg FileConfig) *fileBackend {
	return &fileBackend{cfg: cfg, reader: &reader{config: cfg.Config, file: cfg.File}, metrics: newMetrics(cfg.Metrics)}
}

func (f *fileBackend) mode() string { return "file" }

func (f *fileBackend) sweep() error {
	err := os.RemoveAll(f.copies())
	if err != nil {
		err = fmt.Errorf("cannot remove %q: %w", f.copies(), whole.Cause(err))
	}
	return errors.Join(err, whole.Sweep(f.cfg.File))
}

func (f *fileBackend) hint() string {
	return "does it watch its files (FAUCET_CONFIG_STAT_RELOAD=1), or is it told in the right way (faucet.reload)?"
}

func (f *fileBackend) look(context.Context, bool) (seen, error) {
	if err := own(f.cfg.Config, f.cfg.File); err != nil {
		return seen{}, err
	}
	if now := stampOf(f.cfg.File); now != f.stamp || now.missing {
		text, err := readOwn(f.cfg.Config, f.cfg.File)
		if err != nil {
			return seen{}, err
		}
		f.stamp, f.ours = now, text
	}
	others, _, err := f.reader.read()
	if err == nil {
		err = others.clashes()
	}
	s := seen{others: others, ours: f.ours, version: version(f.ours), state: fmt.Sprint(f.reader.stamps)}
	if len(others.Chain) == 0 {
		s.detached = fmt.Sprintf("%s does not include %s: run `dovesnap faucet init`", f.cfg.Config, f.cfg.File)
		if others.Missing {
			s.detached = fmt.Sprintf("%s does not exist: run `dovesnap faucet init`", f.cfg.Config)
		}
	}
	return s, err
}

func (f *fileBackend) fresh() (Others, error) {
	others, _, err := (&reader{config: f.cfg.Config, file: f.cfg.File}).read()
	return others, err
}

// clashes refuses what would take the place of an ACL of ours.
func (o Others) clashes() error {
	for _, name := range ownNames {
		if _, taken := o.ACLs[name]; taken {
			return fmt.Errorf("cannot use ACL %q: %s has one of that name", name, o.Where)
		}
	}
	return nil
}

func (f *fileBackend) deliver(_ context.Context, c Config) (delivered, error) {
	if _, err := readOwn(f.cfg.Config, f.cfg.File); err != nil {
		return delivered{}, err // it came since the last look
	}
	text := c.String()
	if err := whole.Write(f.cfg.File, []byte(text), 0o644, nil); err != nil {
		return delivered{}, err
	}
	f.stamp, f.ours = stampOf(f.cfg.File), text
	return delivered{ours: text, version: version(text)}, nil
}

// version names a text as Faucet does.
func version(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func (f *fileBackend) tell(ctx context.Context) error {
	return reload(ctx, f.cfg.Reload)
}

func (f *fileBackend) loaded(ctx context.Context) (loaded, error) {
	r, err := f.metrics.scrape(ctx)
	if err != nil {
		return loaded{}, err
	}
	return loaded{versions: r.hashOf(realpath(f.cfg.File)), refused: r.refused, sent: r.sent}, nil
}
