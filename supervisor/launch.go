// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// argv is the command line of a daemon in the foreground, its path first, which
// logs to stderr in the form that splitLine reads.
func (c Config) argv(name string, args ...string) ([]string, error) {
	path, err := c.tool(name)
	if err != nil {
		return nil, err
	}
	return append(append([]string{path}, args...), "--pidfile="+c.pidFile(name),
		"-vconsole:info", "-vsyslog:off", "-vfile:off", "-vPATTERN:console:"+logPattern), nil
}

// launch starts a daemon that outlives us: a session of its own, no
// parent-death signal, and its output in a file, since a pipe whose reader died
// would end it by SIGPIPE.
func (c Config) launch(name string, argv []string) (*proc, error) {
	out, err := os.OpenFile(c.logFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	from, err := out.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(c.env(), c.mark(name))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	favour(pid)
	p, err := c.watch(name, pid, from)
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return p, cmd.Process.Release() // reaping is proc's
}

// env is all that a daemon or tool of Open vSwitch needs of an environment.
// Nothing of ours leaks into a process that lives for years.
func (c Config) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.RunDir,
		"OVS_RUNDIR=" + c.RunDir, "OVS_DBDIR=" + c.DBDir,
	}
}

// favour sets what distributions' units set for these daemons, so that an
// overloaded host loses its network last. Best effort: without the capabilities
// the daemon runs all the same. ovs-vswitchd needs 3 descriptors per bridge and
// one per handler thread and port; --mlockall needs the memory limit.
func favour(pid int) {
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, -10)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("-900"), 0)
	raise(pid, unix.RLIMIT_NOFILE, 1<<20)
	raise(pid, unix.RLIMIT_MEMLOCK, unix.RLIM_INFINITY)
}

// raise sets both limits to want or, where only CAP_SYS_RESOURCE may, the soft
// one to the hard one: Go starts children with the soft limit it was given.
func raise(pid, resource int, want uint64) {
	var now unix.Rlimit
	if unix.Prlimit(pid, resource, nil, &now) != nil {
		return
	}
	want = max(want, now.Max)
	if unix.Prlimit(pid, resource, &unix.Rlimit{Cur: want, Max: want}, nil) != nil {
		_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: now.Max, Max: now.Max}, nil)
	}
}

// run executes a tool of Open vSwitch and returns its standard output. The error
// carries the last line that it wrote to standard error.
func (c Config) run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	path, err := c.tool(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = c.env()
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		return out.String(), &toolError{name: name, verb: args[0], last: lines[len(lines)-1], err: err}
	}
	return out.String(), nil
}

// toolError tells a tool's verdict (it ran and said no) from a failure to run it.
type toolError struct {
	name, verb, last string
	err              error
}

func (e *toolError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %v: %s", e.name, e.verb, e.err, e.last), ": ")
}

func (e *toolError) Unwrap() error { return e.err }

// verdict is true when the tool ran to its end and exited non-zero.
func verdict(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Exited()
}
