// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed faucet-requirements.txt
var faucetRequirements []byte

// FaucetVenv returns a Python environment with Faucet in the cache directory,
// made with the machine's Python when it is not there (some 20 s, 150 MB).
func FaucetVenv(ctx context.Context, cache string, progress io.Writer) (string, error) {
	// Debian's, not whichever is first in PATH: it is the one with python3-venv.
	const python = "/usr/bin/python3"
	version, err := exec.CommandContext(ctx, python, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot run %q: %w", python, err)
	}
	key := sha256.Sum256(append(version, faucetRequirements...))
	venv := filepath.Join(cache, fmt.Sprintf("faucet-%x", key[:6]))
	// An environment cannot be renamed (its programs know their path), so the
	// file that marks it complete is what is made once.
	return venv, Once(venv+".complete", func() error {
		fmt.Fprintf(progress, "installing Faucet in %s, once, about half a minute\n", venv)
		if err := os.RemoveAll(venv); err != nil {
			return err
		}
		list := venv + ".requirements"
		if err := os.WriteFile(list, faucetRequirements, 0o644); err != nil {
			return err
		}
		for _, argv := range [][]string{
			{python, "-m", "venv", venv},
			{venv + "/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", list},
		} {
			if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("cannot install Faucet: %w: %s", err, tail(out, 5))
			}
		}
		return os.WriteFile(venv+".complete", nil, 0o644)
	})
}

// A Faucet is a controller in the host's network, listening on its ports 6653
// and 6633, with the machine's files.
type Faucet struct {
	*Process
	config, log string
	seen        int64 // length of log at the last start or Reload
}

// StartFaucet starts Faucet from venv with config, the text of a faucet.yaml.
func (h *Host) StartFaucet(ctx context.Context, venv, config string) (*Faucet, error) {
	f := &Faucet{
		config: filepath.Join(h.Logs, "faucet.yaml"),
		log:    filepath.Join(h.Logs, "faucet-app.log"),
	}
	if err := os.WriteFile(f.config, []byte(config), 0o644); err != nil {
		return nil, err
	}
	f.mark()
	cmd := &exec.Cmd{
		Path: filepath.Join(venv, "bin/faucet"), Args: []string{"faucet"}, Dir: "/",
		Env: []string{
			// faucet(1) becomes osken-manager, found in PATH.
			"PATH=" + filepath.Join(venv, "bin") + ":/usr/bin:/bin",
			"LANG=C.UTF-8", "PYTHONWARNINGS=ignore",
			"FAUCET_CONFIG=" + f.config, "FAUCET_LOG=" + f.log, "FAUCET_EXCEPTION_LOG=" + f.log,
			"FAUCET_PROMETHEUS_ADDR=127.0.0.1",
		},
	}
	var err error
	f.Process, err = h.startProcess("faucet", cmd, place{h.pidfd, unix.CLONE_NEWPID | unix.CLONE_NEWNET})
	if err != nil {
		return nil, err
	}
	return f, f.Await(ctx, "Add new datapath")
}

// Reload gives Faucet another configuration and returns when it has read it;
// what it means for the switches comes a moment later.
func (f *Faucet) Reload(ctx context.Context, config string) error {
	f.mark()
	if err := os.WriteFile(f.config, []byte(config), 0o644); err != nil {
		return err
	}
	if err := f.Signal(unix.SIGHUP); err != nil {
		return err
	}
	return f.Await(ctx, "Reloading configuration")
}

// AwaitDP waits until Faucet has set up the datapath called name since it was
// started or reloaded.
func (f *Faucet) AwaitDP(ctx context.Context, name string) error {
	return f.Await(ctx, name+" Cold start configuring DP")
}

// Await waits until Faucet's log since its start or last Reload contains text.
func (f *Faucet) Await(ctx context.Context, text string) error {
	return Await(ctx, fmt.Sprintf("%q in Faucet's log", text), func() error {
		if !strings.Contains(f.Log(), text) {
			return errors.Join(errors.New("not there: "+tail([]byte(f.Log()), 3)), f.ended())
		}
		return nil
	})
}

// Log returns Faucet's log since its start or last Reload.
func (f *Faucet) Log() string {
	text, err := os.ReadFile(f.log)
	if err != nil || int64(len(text)) < f.seen {
		return ""
	}
	return string(text[f.seen:])
}

func (f *Faucet) mark() {
	f.seen = 0
	if info, err := os.Stat(f.log); err == nil {
		f.seen = info.Size()
	}
}
