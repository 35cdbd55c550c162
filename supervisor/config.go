// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Mode says whose Open vSwitch to use.
type Mode string

const (
	Auto   Mode = "auto"    // attach to a foreign one that runs, else manage
	Manage Mode = "managed" // run our own; refuse beside a foreign one
	Attach Mode = "attach"  // never start anything; wait for one
)

// The names of the two daemons: command, pidfile and control socket alike.
const (
	ovsdbServer = "ovsdb-server"
	ovsVswitchd = "ovs-vswitchd"
)

// Config is what a Supervisor needs to know. The zero value of every field
// means its default.
type Config struct {
	Mode     Mode   // default auto
	RunDir   string // db.sock, pidfiles, control sockets; default /run/openvswitch
	DBDir    string // conf.db (may be a symlink, as on Debian), system-id.conf; default /etc/openvswitch
	StateDir string // our lock, the children's output, saved flows; default /run/dovesnap
	Units    bool   // the daemons are units of systemd's (see units), not children of ours

	BinDirs []string // searched before $PATH and the usual sbin directories
	Schema  string   // default /usr/share/openvswitch/vswitch.ovsschema

	ProbeEvery    time.Duration // between liveness probes; default 5s
	ProbeTimeout  time.Duration // for one answer; default 1s
	Misses        int           // failed probes in a row that mean a restart; default 3
	Patience      time.Duration // for one answer of a daemon that runs though it missed probes: the host is busy; default 30s
	ApplyWithin   time.Duration // cur_cfg must move while it trails next_cfg; default 10s
	StartTimeout  time.Duration // from exec to ready; default 5m, a multi-GB database loads slowly
	QuietAfter    time.Duration // of Ready, after which earlier crashes are forgotten; default 60s
	FlowsEvery    time.Duration // between flow snapshots; default 10s
	FlowsMaxAge   time.Duration // older snapshots are not restored: they might allow what is denied by now; default 10m
	RestoreWithin time.Duration // flow-restore-wait is cleared by then in any case; default 10s
	SetUpBegins   time.Duration // controllers that have not begun to set their bridges up after a restart by then are not waited for; default 3s
	SetUpWithin   time.Duration // they are waited for until then at most; default 6s
	LogLimit      int64         // bytes of a child's output file before it is emptied; default 4 MiB
}

func (c Config) withDefaults() (Config, error) {
	c.Mode = cmp.Or(c.Mode, Auto)
	switch c.Mode {
	case Auto, Manage, Attach:
	default:
		return c, fmt.Errorf("cannot use ovs.mode %q: want auto, managed or attach", c.Mode)
	}
	c.RunDir = cmp.Or(c.RunDir, "/run/openvswitch")
	c.DBDir = cmp.Or(c.DBDir, "/etc/openvswitch")
	c.StateDir = cmp.Or(c.StateDir, "/run/dovesnap")
	for _, dir := range []string{c.RunDir, c.DBDir, c.StateDir} {
		if !filepath.IsAbs(dir) {
			return c, fmt.Errorf("cannot use directory %q: want an absolute path", dir)
		}
	}
	c.Schema = cmp.Or(c.Schema, "/usr/share/openvswitch/vswitch.ovsschema")
	c.ProbeEvery = cmp.Or(c.ProbeEvery, 5*time.Second)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, time.Second)
	c.Misses = cmp.Or(c.Misses, 3)
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	c.ApplyWithin = cmp.Or(c.ApplyWithin, 10*time.Second)
	c.StartTimeout = cmp.Or(c.StartTimeout, 5*time.Minute)
	c.QuietAfter = cmp.Or(c.QuietAfter, time.Minute)
	c.FlowsEvery = cmp.Or(c.FlowsEvery, 10*time.Second)
	c.FlowsMaxAge = cmp.Or(c.FlowsMaxAge, 10*time.Minute)
	c.RestoreWithin = cmp.Or(c.RestoreWithin, 10*time.Second)
	c.SetUpBegins = cmp.Or(c.SetUpBegins, 3*time.Second)
	c.SetUpWithin = cmp.Or(c.SetUpWithin, 6*time.Second)
	c.LogLimit = cmp.Or(c.LogLimit, 4<<20)
	return c, nil
}

func (c Config) socket() string             { return c.RunDir + "/db.sock" }
func (c Config) pidFile(name string) string { return c.RunDir + "/" + name + ".pid" }
func (c Config) logFile(name string) string { return c.StateDir + "/" + name + ".log" }
func (c Config) lockFile() string           { return c.StateDir + "/supervisor.lock" }
func (c Config) flowsDir() string           { return c.StateDir + "/flows" }
func (c Config) triesFile() string          { return c.StateDir + "/restoring" }
func (c Config) database() string           { return c.DBDir + "/conf.db" }

// ctl is the control socket (ovs-appctl's) of the daemon with that pid.
func (c Config) ctl(name string, pid int) string {
	return fmt.Sprintf("%s/%s.%d.ctl", c.RunDir, name, pid)
}

// ErrNotInstalled says that there is no Open vSwitch to start.
var ErrNotInstalled = errors.New("install Open vSwitch (Debian: apt install openvswitch-switch)")

// tool finds a command. A service's $PATH may lack the sbin directories.
func (c Config) tool(name string) (string, error) {
	for _, dir := range c.BinDirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("cannot find %s: %w", name, ErrNotInstalled)
}

// installed says what is missing to run Open vSwitch here.
func (c Config) installed() error {
	var missing []error
	for _, name := range []string{ovsdbServer, ovsVswitchd, "ovsdb-tool", "ovs-ofctl"} {
		if _, err := c.tool(name); err != nil {
			missing = append(missing, err)
		}
	}
	if len(missing) > 0 {
		return missing[0]
	}
	if _, err := os.Stat(c.Schema); err != nil {
		return fmt.Errorf("cannot find %s: %w", c.Schema, ErrNotInstalled)
	}
	return nil
}
