// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// proc is a daemon seen through a pidfd: one handle for children of our own and
// for those of an earlier dovesnap, which wait(2) cannot see.
type proc struct {
	name  string
	pid   int
	ctl   string // control socket
	out   string // file of its output
	from  int64  // where in out its own output begins
	pidfd *os.File
	done  chan struct{}
	err   error // set before done is closed
}

// watch opens the pidfd of a process which must be known to be the right one
// afterwards too (a child not yet reaped, a lock owner checked again).
func (c Config) watch(name string, pid int, from int64) (*proc, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s (pid %d): %w", name, pid, err)
	}
	// Non-blocking makes os.File hand it to the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot watch %s (pid %d): %w", name, pid, err)
	}
	p := &proc{name: name, pid: pid, ctl: c.ctl(name, pid), out: c.logFile(name), from: from,
		pidfd: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{})}
	go p.await()
	return p, nil
}

// await ends with the process, or with Release, which closes the pidfd.
func (p *proc) await() {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return
	}
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 && err == nil
	})
	if err != nil {
		return // released
	}
	how := "ended"
	var ws unix.WaitStatus
	// A child of an earlier dovesnap is init's to reap: ECHILD, and no status.
	if pid, err := unix.Wait4(p.pid, &ws, unix.WNOHANG, nil); err == nil && pid == p.pid {
		switch {
		case ws.Signaled() && ws.CoreDump():
			how = fmt.Sprintf("was killed by %s (core dumped)", unix.SignalName(ws.Signal()))
		case ws.Signaled():
			how = "was killed by " + unix.SignalName(ws.Signal())
		default:
			how = fmt.Sprintf("exited with status %d", ws.ExitStatus())
		}
	}
	p.err = fmt.Errorf("%s (pid %d) %s", p.name, p.pid, how)
	if words := lastWords(p.out, p.from); words != "" {
		p.err = fmt.Errorf("%w; it said: %s", p.err, words)
	}
	close(p.done)
}

// Turns counts the context switches of the daemon's main thread (proc(5), status),
// which makes no more of them when it is stopped, deadlocked, or held by the kernel.
// One that is gone made none.
func (p *proc) Turns() (n int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if strings.HasSuffix(name, "voluntary_ctxt_switches") { // and nonvoluntary
			switches, _ := strconv.Atoi(strings.TrimSpace(value))
			n += switches
		}
	}
	return n
}

func (p *proc) PID() int              { return p.pid }
func (p *proc) Done() <-chan struct{} { return p.done }
func (p *proc) Err() error            { return p.err }
func (p *proc) Release()              { p.pidfd.Close() }

func (p *proc) Tell(ctx context.Context, r rung) error {
	sig := unix.SIGTERM
	switch r {
	case askExit:
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := call(ctx, p.ctl, "exit")
		return err
	case sigKill:
		sig = unix.SIGKILL
	}
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := conn.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	return serr
}
