// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"dovesnap/whole"
)

const (
	checker = "check_faucet_config"
	// checkTimeout is long: the program takes a second, and more on a busy host.
	checkTimeout = 30 * time.Second
)

// check runs Faucet's own check, where it's installed, on a copy of what Faucet
// would read. It takes about a second, so a change of ACLs alone goes without;
// that they exist is known, and Faucet checks again.
func (f *fileBackend) check(ctx context.Context, before, c Config) error {
	program, err := exec.LookPath(checker)
	chain := f.reader.others.Chain
	if err != nil || len(chain) == 0 || len(c.DPs)+len(f.reader.others.DPs) == 0 || sameButACLs(before, c) {
		return nil
	}
	dir := f.copies()
	defer os.RemoveAll(dir)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return fmt.Errorf("cannot check the new configuration: %w", err)
	}
	ours := filepath.Join(dir, filepath.Base(f.cfg.File))
	if err := os.WriteFile(ours, []byte(c.String()), 0o600); err != nil {
		return fmt.Errorf("cannot check the new configuration: %w", err)
	}
	main := ours
	moved := map[string]string{realpath(f.cfg.File): ours}
	for i := len(chain) - 1; i >= 0; i-- {
		main = filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(chain[i])))
		if err := copyWith(chain[i], main, moved); err != nil {
			return err
		}
		moved[chain[i]] = main
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, main)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || !errors.As(err, &exit) || !reason.Match(out):
		return nil // it could not tell; Faucet will
	}
	text := string(reason.FindSubmatch(out)[2])
	for file, copied := range moved {
		text = strings.ReplaceAll(text, copied, file)
	}
	return refusal(text)
}

// copies is where the check's copies are. One name will do, since one daemon runs
// and the directory is ours, and what a kill leaves is found again by it.
func (f *fileBackend) copies() string { return f.cfg.State + "-check" }

// refusal is Faucet's no to a configuration.
type refusal string

func (r refusal) Error() string { return "Faucet refuses the new configuration: " + string(r) }

// reason is what check_faucet_config prints: [InvalidConfigError('…')].
var reason = regexp.MustCompile(`(?s)InvalidConfigError\((['"])(.*)['"]\)`)

// copyWith copies a file with its includes made absolute, those that have moved
// to where they are now.
func copyWith(file, to string, moved map[string]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", file, whole.Cause(err))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) == 0 {
		return fmt.Errorf("cannot read Faucet's configuration %q", file)
	}
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if key := top.Content[i].Value; key != "include" && key != "include-optional" {
			continue
		}
		for _, item := range top.Content[i+1].Content {
			item.Value = resolve(item.Value, file)
			if now, ok := moved[item.Value]; ok {
				item.Value = now
			}
		}
	}
	if text, err = yaml.Marshal(&doc); err != nil {
		return fmt.Errorf("cannot copy %q: %w", file, err)
	}
	return os.WriteFile(to, text, 0o600)
}

// sameButACLs reports whether two Configs differ at most in what ACLs their ports
// have, and in descriptions of ports.
func sameButACLs(a, b Config) bool {
	sameOut := func(x, y VLAN) bool { return slices.Equal(x.ACLsOut, y.ACLsOut) }
	if !maps.EqualFunc(a.VLANs, b.VLANs, sameOut) || len(a.DPs) != len(b.DPs) {
		return false
	}
	for name, x := range a.DPs {
		y, ok := b.DPs[name]
		if !ok || x.ID != y.ID || x.Description != y.Description || x.Egress != y.Egress {
			return false
		}
	}
	plain := func(c Config) policies {
		out := policies{}
		for port, list := range c.policies() {
			one := list[0]
			one.acls = ""
			out[port] = []policy{one}
		}
		return out
	}
	return maps.EqualFunc(plain(a), plain(b), func(x, y []policy) bool { return x[0] == y[0] })
}
