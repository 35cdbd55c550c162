// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mark is the environment entry by which a child of any dovesnap is known for
// what it is, as long as it lives: /proc/PID/environ keeps what exec was given.
func (c Config) mark(name string) string {
	return "DOVESNAP_CHILD=" + name + "@" + c.RunDir
}

// decide says whether we manage Open vSwitch, or attach to somebody else's.
func (c Config) decide(ctx context.Context) (managed bool, err error) {
	if c.Mode == Attach {
		return false, nil
	}
	foreign, err := c.foreign(ctx)
	if err != nil {
		return false, err
	}
	if foreign != "" && c.Mode == Auto {
		return false, nil
	}
	if foreign != "" {
		return false, fmt.Errorf("cannot manage Open vSwitch: %s runs already and was not started by dovesnap; "+
			"stop it (systemctl disable --now openvswitch-switch) or set ovs.mode to attach", foreign)
	}
	// Two ovs-vswitchd with different databases in one network namespace delete
	// each other's ports.
	if others := c.strangers(); len(others) > 0 {
		return false, fmt.Errorf("cannot manage Open vSwitch: ovs-vswitchd (pid %d) of another installation runs in this "+
			"network namespace; stop it or set ovs.run_dir to its directory", others[0])
	}
	return true, c.startable(ctx)
}

// startable says what is missing to start what does not run. Daemons that go on though
// their package is gone need nothing: cleanup has them remove our bridges.
func (c Config) startable(ctx context.Context) error {
	for _, name := range []string{ovsdbServer, ovsVswitchd} {
		if pid, _, err := c.owner(ctx, name); pid == 0 || err != nil {
			return errors.Join(err, c.installed())
		}
	}
	return nil
}

// foreign names the daemon in our run directory that is not ours, if any.
func (c Config) foreign(ctx context.Context) (string, error) {
	for _, name := range []string{ovsdbServer, ovsVswitchd} {
		pid, ours, err := c.owner(ctx, name)
		if err != nil {
			return "", err
		}
		if pid != 0 && !ours {
			return fmt.Sprintf("%s (pid %d)", name, pid), nil
		}
	}
	if len(c.marked(ovsdbServer)) == 0 && c.answers(ctx) == nil {
		return "the server of " + c.socket(), nil // without a pidfile
	}
	return "", nil
}

// owner is the process that holds the pidfile, and whether it is ours; pid 0
// when there is none. One that is ending has lost its environment, but not yet
// its lock: it is waited for, not judged.
func (c Config) owner(ctx context.Context, name string) (pid int, ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := lockOwner(c.pidFile(name))
		if pid == 0 || err != nil {
			return 0, false, err
		}
		if slices.Contains(c.marked(name), pid) {
			return pid, true, nil
		}
		if pid < 0 || !ending(pid) {
			return pid, false, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return pid, false, fmt.Errorf("%s (pid %d) is ending, but still holds its pidfile: %w", name, pid, ctx.Err())
		}
	}
}

// ending is true of a process without memory: no program runs without an argv.
func ending(pid int) bool {
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || len(argv) == 0
}

// adopt returns the running daemon, nil when there is none.
func (c Config) adopt(ctx context.Context, name string) (*proc, error) {
	pid, ours, err := c.owner(ctx, name)
	if pid == 0 || err != nil {
		return nil, err
	}
	if !ours {
		return nil, fmt.Errorf("pid %d holds %s and was not started by dovesnap; stop it or set ovs.mode to attach", pid, c.pidFile(name))
	}
	var from int64
	if st, err := os.Stat(c.logFile(name)); err == nil {
		from = st.Size()
	}
	p, err := c.watch(name, pid, from)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if again, err := lockOwner(c.pidFile(name)); again != pid || err != nil {
		p.Release() // it ended, and the pid may be somebody else's by now
		return nil, err
	}
	return p, nil
}

// lockOwner is the pid that holds the lock on a pidfile: 0 for none, -1 for one
// in another pid namespace. A pidfile's text proves nothing, its lock does.
func lockOwner(path string) (int, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lk); err != nil {
		return 0, fmt.Errorf("cannot query the lock of %s: %w", path, err)
	}
	switch {
	case lk.Type == unix.F_UNLCK:
		return 0, nil
	case lk.Pid <= 0:
		return -1, nil
	}
	return int(lk.Pid), nil
}

// marked lists our own processes of that name, in this network namespace: by the
// mark, or by the unit. The environment of a process with more capabilities than
// ours cannot be read (ptrace(2), "Ptrace access mode checking"), and under
// systemd ovs-vswitchd is one.
func (c Config) marked(name string) []int {
	return slices.DeleteFunc(processes(name), func(pid int) bool {
		if unitOf(name, pid) != "" {
			return false
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return err != nil || !slices.Contains(strings.Split(string(env), "\x00"), c.mark(name))
	})
}

// unitOf is the systemd unit that a process of ours belongs to; "" for a child of
// a dovesnap. A control group is named after its unit (systemd.unit(5)).
func unitOf(name string, pid int) string {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)) // gone: of no unit
	for _, line := range strings.Split(string(groups), "\n") {
		if unit := units[name]; filepath.Base(line) == unit {
			return unit
		}
	}
	return ""
}

// strangers lists each ovs-vswitchd of this network namespace that is neither
// ours nor the one of our run directory.
func (c Config) strangers() []int {
	owner, err := lockOwner(c.pidFile(ovsVswitchd))
	ours := c.marked(ovsVswitchd)
	return slices.DeleteFunc(processes(ovsVswitchd), func(pid int) bool {
		return err != nil || pid == owner || slices.Contains(ours, pid)
	})
}

// processes lists those with that command name in this network namespace.
func processes(name string) (pids []int) {
	// Not /proc/self: that is the first thread, which may at this moment be lent
	// to a goroutine at work inside a container.
	here := netnsOf("/proc/thread-self")
	if here == 0 {
		return nil
	}
	comms, _ := filepath.Glob("/proc/[0-9]*/comm") // only a bad pattern is an error
	for _, path := range comms {
		comm, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue
		}
		dir := filepath.Dir(path)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && netnsOf(dir) == here {
			pids = append(pids, pid)
		}
	}
	return pids
}

// netnsOf tells network namespaces apart by the inode of a file that each has one
// of its own of; 0 for a process that is gone. The link ns/net would need
// CAP_SYS_PTRACE.
func netnsOf(dir string) uint64 {
	var st unix.Stat_t
	if unix.Stat(dir+"/net/dev", &st) != nil {
		return 0
	}
	return st.Ino
}
