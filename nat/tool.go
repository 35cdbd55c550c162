// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"
)

const (
	// lockWait is how long iptables may wait for the xtables lock. Its default,
	// and go-iptables', is for ever.
	lockWait = 5 * time.Second
	// runLimit bounds one run of an iptables program of ours.
	runLimit = 15 * time.Second
)

// tool is iptables, or ip6tables, in one of its flavours.
type tool struct {
	path   string // of iptables; -save and -restore are beside it
	six    bool   // ip6tables
	legacy bool   // it keeps its rules in x_tables, not in nf_tables
	wait   time.Duration
	// rule edits single rules. It knows no context; the only thing that
	// iptables itself ever waits for is the lock, and wait bounds that.
	rule *iptables.IPTables
}

// tools returns the installed flavours of a command, the system's default first.
func tools(ctx context.Context, command string, proto iptables.Protocol, wait time.Duration) ([]*tool, error) {
	var out []*tool
	for _, name := range []string{command, command + "-nft", command + "-legacy"} {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		t := &tool{path: path, wait: wait, six: proto == iptables.ProtocolIPv6}
		version, err := run(ctx, nil, path, "--version")
		if err != nil {
			return nil, fmt.Errorf("cannot run %s: %w", path, err)
		}
		// Before 1.8 there was only one flavour, and the text did not say.
		t.legacy = !strings.Contains(version, "nf_tables")
		if len(out) > 0 && (out[0].legacy == t.legacy || len(out) > 1) {
			continue
		}
		t.rule, err = iptables.New(iptables.IPFamily(proto), iptables.Path(path), iptables.Timeout(seconds(wait)))
		if err != nil {
			return nil, fmt.Errorf("cannot use %s: %w", path, err)
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot find %s: install it (Debian: apt install iptables)", command)
	}
	return out, nil
}

// lookPath also looks where the PATH of a user's shell does not reach.
func lookPath(name string) (string, error) {
	for _, file := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(file); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", exec.ErrNotFound
}

// read returns all tables.
func (t *tool) read(ctx context.Context) (saved, error) {
	text, err := run(ctx, nil, t.path+"-save")
	if err == nil {
		return parse(text), nil
	}
	// A native nftables rule that iptables cannot express, in any table that has
	// the name of one of its own, spoils the whole listing. Ours may be fine.
	text = ""
	for _, table := range []string{"filter", "nat", "raw"} {
		part, err := run(ctx, nil, t.path+"-save", "-t", table)
		if err != nil {
			return nil, fmt.Errorf("cannot read table %s: %w", table, err)
		}
		text += part
	}
	return parse(text), nil
}

// restore replaces the chains that the text declares, and nothing else.
func (t *tool) restore(ctx context.Context, text string) error {
	_, err := run(ctx, []byte(text), t.path+"-restore", "-w", strconv.Itoa(seconds(t.wait)), "--noflush")
	return err
}

// place puts a jump where it belongs. s follows what is done.
func (t *tool) place(ctx context.Context, s saved, j jump) error {
	count, right, at := s.position(j)
	if !right && count > 0 && at > 0 {
		// Deletion finds a chain's first jump, and that could be the new one.
		if err := t.removeAll(ctx, s, j, count); err != nil {
			return err
		}
		count, right, at = s.position(j)
	}
	if !right {
		if err := t.insert(ctx, s, j, at); err != nil {
			return err
		}
		// An appended jump is there before the old ones go.
		if err := t.removeAll(ctx, s, j, count); err != nil {
			return err
		}
	}
	return nil
}

// placeAll places jumps, and takes them away from where they do not belong.
func (t *tool) placeAll(ctx context.Context, s saved, jumps []jump) error {
	for _, j := range jumps {
		if err := t.place(ctx, s, j); err != nil {
			return err
		}
	}
	for _, j := range jumps {
		for _, from := range s.strays(j.table, j.to, jumps) {
			if err := t.remove(ctx, s, j.table, from, j.to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tool) removeAll(ctx context.Context, s saved, j jump, count int) error {
	for range count {
		if err := t.remove(ctx, s, j.table, j.from, j.to); err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) insert(ctx context.Context, s saved, j jump, at int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s[j.table] == nil {
		s[j.table] = map[string][]string{}
	}
	rules := s[j.table][j.from]
	var err error
	if at == 0 {
		at = len(rules) + 1
		err = t.rule.Append(j.table, j.from, "-j", j.to)
	} else {
		err = t.rule.Insert(j.table, j.from, at, "-j", j.to)
	}
	if err != nil {
		return fmt.Errorf("cannot add jump from %s to %s: %w", j.from, j.to, oneLine(err))
	}
	changed := append([]string{}, rules[:at-1]...)
	s[j.table][j.from] = append(append(changed, j.rule()), rules[at-1:]...)
	return nil
}

// remove deletes the first jump from one chain to another.
func (t *tool) remove(ctx context.Context, s saved, table, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.rule.Delete(table, from, "-j", to); err != nil {
		return fmt.Errorf("cannot remove jump from %s to %s: %w", from, to, oneLine(err))
	}
	rules := s[table][from]
	for i, r := range rules {
		if r == "-j "+to {
			s[table][from] = append(append([]string{}, rules[:i]...), rules[i+1:]...)
			break
		}
	}
	return nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// run runs a program and returns what it printed; the error has its complaint.
func run(ctx context.Context, stdin []byte, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", filepath.Base(path), ctx.Err())
	}
	return "", fmt.Errorf("%s: %w: %w", filepath.Base(path), err, oneLine(errors.New(stderr.String())))
}

// oneLine folds iptables' complaints, which have several lines.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
