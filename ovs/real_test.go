// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// daemons is a real ovsdb-server and a real ovs-vswitchd whose datapath and
// network devices are dummies (ovs-vswitchd(8), --enable-dummy), so that it
// touches nothing of the host. libovsdb's in-memory server would do without
// processes, but it knows no commit operation and no vswitchd.
type daemons struct {
	t        testing.TB
	dir      string
	server   *exec.Cmd
	vswitchd *exec.Cmd
	flags    []string // of vswitchd
}

const schema = "/usr/share/openvswitch/vswitch.ovsschema"

func startOVS(t testing.TB) *daemons {
	t.Helper()
	return startWith(t, []string{"--enable-dummy=override"}, "init")
}

// startWith starts them with flags of vswitchd's, on a database to which ovs-vsctl
// has done what setup says.
func startWith(t testing.TB, flags []string, setup ...string) *daemons {
	t.Helper()
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("Open vSwitch is not installed: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "dovesnap-ovs") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	d := &daemons{t: t, dir: dir, flags: flags}
	t.Cleanup(d.stop)
	d.command("ovsdb-tool", "create", d.path("conf.db"), schema)
	d.startServer()
	d.vsctl(append([]string{"--no-wait"}, setup...)...)
	d.startVswitchd()
	return d
}

func (d *daemons) path(name string) string { return filepath.Join(d.dir, name) }

func (d *daemons) endpoint() string { return "unix:" + d.path("db.sock") }

func (d *daemons) startServer() {
	d.t.Helper()
	d.server = d.start("ovsdb-server", d.path("conf.db"), "--remote=p"+d.endpoint(), "--unixctl="+d.path("server.ctl"))
	d.await("the database's socket", func() bool { // which is there a moment before it listens
		conn, err := net.Dial("unix", d.path("db.sock"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (d *daemons) startVswitchd() {
	d.t.Helper()
	// Its flags first: it can only override what is not disabled yet.
	d.vswitchd = d.start("ovs-vswitchd", slices.Concat([]string{d.endpoint()}, d.flags, []string{"--disable-system", "--unixctl=" + d.path("vswitchd.ctl")})...)
}

func (d *daemons) start(name string, args ...string) *exec.Cmd {
	d.t.Helper()
	cmd := exec.Command(name, append(args, "-vconsole:off", "-vsyslog:off", "-vfile:off", "--no-chdir")...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+d.dir, "OVS_LOGDIR="+d.dir, "OVS_DBDIR="+d.dir)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	return cmd
}

// kill ends a process of ours and waits for it.
func kill(cmd *exec.Cmd) {
	if cmd != nil && cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (d *daemons) stop() {
	kill(d.vswitchd)
	kill(d.server)
	os.RemoveAll(d.dir)
}

func (d *daemons) command(name string, args ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (d *daemons) vsctl(args ...string) string {
	d.t.Helper()
	return d.command("ovs-vsctl", append([]string{"--db=" + d.endpoint(), "--timeout=10"}, args...)...)
}

// await waits until cond holds.
func (d *daemons) await(what string, cond func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}

// connect returns a running Switch; it ends with the test.
func (d *daemons) connect() *Switch {
	d.t.Helper()
	s := New(d.endpoint(), slog.New(slog.DiscardHandler))
	s.settleWithin = 50 * time.Millisecond // no controller runs
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	d.t.Cleanup(func() { cancel(); <-done })
	select {
	case <-s.Resync():
	case <-time.After(20 * time.Second):
		d.t.Fatal("no connection")
	}
	return s
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
