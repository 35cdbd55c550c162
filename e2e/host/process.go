// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Environment is what every process of a host starts with. "container" tells
// daemons (systemd's convention) not to look for the machine's AppArmor.
var Environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root", "LANG=C.UTF-8", "container=dovesnap-host",
}

// A place is the namespaces (a set of CLONE_NEW* flags) of the process that
// pidfd stands for.
type place struct{ pidfd, namespaces int }

// inside is where the host's own processes are.
func (h *Host) inside() place { return place{h.pidfd, allNamespaces} }

// start starts cmd, whose path is looked up on arrival, in all of the places,
// one after the other. It gets a session of its own, as a daemon has.
func (h *Host) start(cmd *exec.Cmd, places ...place) error {
	if h.pid == 0 {
		return errors.New("host is off")
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	return onThread(func() error {
		for _, p := range places {
			if err := enter(p.pidfd, p.namespaces); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
}

// command is exec.Command whose path is found in the host, not on the machine.
func Command(argv []string) *exec.Cmd {
	path := argv[0]
	if !strings.Contains(path, "/") {
		// env(1) looks its argument up in PATH and becomes it: same process.
		return &exec.Cmd{Path: "/usr/bin/env", Args: append([]string{"env"}, argv...), Env: Environment, Dir: "/"}
	}
	return &exec.Cmd{Path: path, Args: argv, Env: Environment, Dir: "/"}
}

// Run runs one command in the host and returns what it printed on stdout; what
// it printed on stderr is in the error. The context's end kills it.
func (h *Host) Run(ctx context.Context, argv ...string) (string, error) {
	return h.RunInput(ctx, nil, argv...)
}

// RunOutside is Run on the other side of the uplink: the host's files, the
// outside's network.
func (h *Host) RunOutside(ctx context.Context, argv ...string) (string, error) {
	return h.run(ctx, nil, argv, h.inside(), h.outside)
}

// RunInput is Run with stdin read from input.
func (h *Host) RunInput(ctx context.Context, input io.Reader, argv ...string) (string, error) {
	return h.run(ctx, input, argv, h.inside())
}

func (h *Host) run(ctx context.Context, input io.Reader, argv []string, places ...place) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := Command(argv)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	// A grandchild that holds on to stdout must not hold Wait.
	cmd.WaitDelay = time.Second
	if err := h.start(cmd, places...); err != nil {
		return "", fmt.Errorf("cannot run %q: %w", strings.Join(argv, " "), err)
	}
	stop := context.AfterFunc(ctx, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	defer stop()
	err := cmd.Wait()
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("cannot run %q: %w: %s", strings.Join(argv, " "), err, said)
	}
	return stdout.String(), nil
}

// A Process is a daemon that Start started.
type Process struct {
	Name string
	// LogPath is the path, on the machine, of what it printed.
	LogPath string

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done
}

// Start starts a daemon in the host. Name names it and its log file.
func (h *Host) Start(name string, argv ...string) (*Process, error) {
	return h.startProcess(name, Command(argv), h.inside())
}

func (h *Host) startProcess(name string, cmd *exec.Cmd, places ...place) (*Process, error) {
	p := &Process{Name: name, cmd: cmd, done: make(chan struct{})}
	p.LogPath = filepath.Join(h.Logs, name+".log")
	log, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open log of %q: %w", name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := h.start(cmd, places...); err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID returns the process id on the machine.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends sig to the process alone, not to its children.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ended returns an error, for Await's checks, when the process has ended.
func (p *Process) ended() error {
	if p.Running() {
		return nil
	}
	return fmt.Errorf("%s has ended: %v: %s", p.Name, p.err, tail([]byte(p.Logged()), 5))
}

// Wait waits for the end of the process and returns its error as exec.Cmd.Wait.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("cannot wait for end of %q: %w", p.Name, ctx.Err())
	}
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := p.Wait(ctx); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// Stop ends the process by SIGTERM, waits, and returns its exit as an error if
// it was not a clean one.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("cannot stop %q: %w", p.Name, err)
	}
	return nil
}

// Logged returns what the process has printed so far.
func (p *Process) Logged() string {
	text, err := os.ReadFile(p.LogPath)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Attach starts cmd in the host, in this process's session, for it to use the
// terminal.
func (h *Host) Attach(cmd *exec.Cmd) error {
	return onThread(func() error {
		if err := enter(h.pidfd, allNamespaces); err != nil {
			return err
		}
		return cmd.Start()
	})
}
