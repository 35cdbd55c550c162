// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Faucet is a controller in the host's network, listening on its ports 6653
// and 6633, with the machine's files.
type Faucet struct {
	*Process
	config, log string
	seen        int64 // length of log at the last start or Reload
}

// StartFaucet starts Faucet from venv with config, the text of a faucet.yaml; ""
// for the one that is there. Its process id is in the host's file FaucetPIDFile.
func (h *Host) StartFaucet(ctx context.Context, venv, config string, environ ...string) (*Faucet, error) {
	f := &Faucet{
		config: filepath.Join(h.faucetDir(), "faucet.yaml"),
		log:    filepath.Join(h.Logs, "faucet-app.log"),
	}
	if config != "" {
		if err := os.WriteFile(f.config, []byte(config), 0o644); err != nil {
			return nil, err
		}
	}
	f.mark()
	var err error
	f.Process, err = h.startPython("faucet", venv, "/", []string{"faucet"}, append([]string{
		"FAUCET_CONFIG=" + f.config, "FAUCET_LOG=" + f.log, "FAUCET_EXCEPTION_LOG=" + f.log,
		"FAUCET_PROMETHEUS_ADDR=127.0.0.1",
	}, environ...)...)
	if err != nil {
		return nil, err
	}
	if err := h.writePIDFile(f.Process); err != nil {
		return nil, err
	}
	begun := "Reloading configuration"
	if strings.Contains(config, "dp_id") {
		begun = "Add new datapath"
	}
	return f, f.Await(ctx, begun)
}

// FaucetPIDFile is where a host finds the process id of its Faucet.
const FaucetPIDFile = FaucetDir + "/faucet.pid"

// startPython starts a program of a Python environment in the host's network and
// among its processes, with the machine's files, of which dir is its own.
func (h *Host) startPython(name, venv, dir string, argv []string, environ ...string) (*Process, error) {
	return h.startProcess(name, &exec.Cmd{
		Path: filepath.Join(venv, "bin", argv[0]), Args: argv, Dir: dir,
		Env: append([]string{
			// faucet(1) becomes osken-manager, found in PATH.
			"PATH=" + filepath.Join(venv, "bin") + ":/usr/bin:/bin",
			"LANG=C.UTF-8", "PYTHONWARNINGS=ignore",
		}, environ...),
	}, place{h.pidfd, unix.CLONE_NEWPID | unix.CLONE_NEWNET})
}

// writePIDFile writes the number that a process has in the host, the last of NSpid
// (proc_pid_status(5)).
func (h *Host) writePIDFile(p *Process) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			numbers := strings.Fields(rest)
			return os.WriteFile(filepath.Join(h.faucetDir(), filepath.Base(FaucetPIDFile)), []byte(numbers[len(numbers)-1]+"\n"), 0o644)
		}
	}
	return errors.New("cannot find the process id of faucet in the host")
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
