// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dovesnap/spec"
)

// realFaucet is a Faucet process without a switch: it loads its configuration and
// serves its metrics.
type realFaucet struct {
	t    *testing.T
	bin  string
	port int
	log  string
	cfg  FileConfig
	cmd  *exec.Cmd
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func newReal(t *testing.T, config, how string) *realFaucet {
	bin := venv(t)
	dir := realpath(t.TempDir())
	port := freePort(t)
	f := &realFaucet{t: t, bin: bin, port: port, log: filepath.Join(dir, "log"), cfg: FileConfig{
		Config: filepath.Join(dir, "faucet.yaml"), File: filepath.Join(dir, "dovesnap.yaml"), State: filepath.Join(dir, "state"),
		Metrics: fmt.Sprintf("http://127.0.0.1:%d", port), Reload: how,
	}}
	if how == "pidfile" {
		f.cfg.Reload = "pidfile:" + filepath.Join(dir, "pid")
	}
	write(t, f.cfg.Config, config)
	return f
}

func (f *realFaucet) start() {
	f.t.Helper()
	cmd := exec.Command(filepath.Join(f.bin, "faucet"), fmt.Sprintf("--ryu-ofp-tcp-listen-port=%d", freePort(f.t)), "--ryu-ofp-listen-host=127.0.0.1", "--ryu-config-file=")
	watch := "0"
	if f.cfg.Reload == ReloadWatch {
		watch = "1"
	}
	cmd.Env = []string{
		"PATH=" + f.bin + ":/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONWARNINGS=ignore",
		"FAUCET_CONFIG=" + f.cfg.Config, "FAUCET_LOG=" + f.log, "FAUCET_EXCEPTION_LOG=" + f.log,
		"FAUCET_PROMETHEUS_ADDR=127.0.0.1", fmt.Sprintf("FAUCET_PROMETHEUS_PORT=%d", f.port), "FAUCET_CONFIG_STAT_RELOAD=" + watch,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.cmd = cmd
	write(f.t, strings.TrimSuffix(f.cfg.Config, "faucet.yaml")+"pid", fmt.Sprint(cmd.Process.Pid))
	f.t.Cleanup(func() {
		f.stop()
		if f.t.Failed() {
			text, _ := os.ReadFile(f.log)
			f.t.Logf("Faucet's log:\n%s", text)
		}
	})
}

func (f *realFaucet) stop() {
	if f.cmd != nil {
		f.cmd.Process.Kill()
		f.cmd.Wait()
		f.cmd = nil
	}
}

// count returns the value of a metric of a datapath.
func (f *realFaucet) count(metric string, n spec.Network) string {
	f.t.Helper()
	out, err := exec.Command("curl", "-sS", f.cfg.Metrics).Output()
	if err != nil {
		f.t.Fatal(err)
	}
	m := regexp.MustCompile(fmt.Sprintf(`(?m)^%s\{dp_id="%s",dp_name="%s"\} (.*)$`, metric, n.DPID, n.Name)).FindSubmatch(out)
	if m == nil {
		return "0.0"
	}
	return string(m[1])
}

// TestRealFaucet begins with a Faucet that has nothing to load, as after its
// installation.
func TestRealFaucet(t *testing.T) {
	for _, how := range []string{ReloadWatch, "pidfile"} {
		t.Run(how, func(t *testing.T) {
			f := newReal(t, "# nothing yet\n", how)
			f.start()
			if changed, _, err := Init(f.cfg.Config, f.cfg.File); !changed || err != nil {
				t.Fatal(changed, err)
			}
			c, _ := start(t, f.cfg)
			c.Want(spec.NewState(), nil)
			await(t, "delivery of nothing", c, func() bool { return c.Status().Delivered })
			await(t, "Faucet", c, func() bool { _, err := newMetrics(f.cfg.Metrics).scrape(t.Context()); return err == nil })
			if len(c.Problems()) > 0 {
				t.Error("nothing to load is a problem:", c.Problems())
			}
			a := network("a", nil)
			plain := container(a, 1, nil)
			took := want(t, c, f, "the first network", state([]spec.Network{a}, plain))

			// The operator adds an ACL; a container asks for it, and leaves.
			write(t, f.cfg.Config, "acls: {office: [{rule: {actions: {allow: 1}}}]}\n"+read(t, f.cfg.Config))
			own := container(a, 2, acl("office"))
			took = append(took, want(t, c, f, "an ACL", state([]spec.Network{a}, plain, own))...)
			if !c.Settled(a, own) {
				t.Error("confirmed but not settled")
			}
			took = append(took, want(t, c, f, "no ACL again", state([]spec.Network{a}, plain, container(a, 2, nil)))...)
			if cold, warm := f.count("faucet_config_reload_cold_total", a), f.count("faucet_config_reload_warm_total", a); cold != "0.0" || warm != "2.0" {
				t.Errorf("ACLs came and went with %s cold and %s warm starts of the datapath", cold, warm)
			}

			// The operator's mistake: everything is refused, until he mends it.
			good := read(t, f.cfg.Config)
			write(t, f.cfg.Config, "dps: {d: {dp_id: 1, interfaces: {1: {acls_in: [nope]}}}}\n"+good)
			b := network("b", nil)
			c.Want(state([]spec.Network{a, b}, plain), nil)
			await(t, "the reason", c, func() bool {
				return c.Problems()["faucet"] == "Faucet refuses its configuration: missing ACL nope in DP: d"
			})
			write(t, f.cfg.Config, good)
			await(t, "recovery", c, confirmed(c))

			took = append(took, want(t, c, f, "another network", state([]spec.Network{a, b}, plain, container(b, 3, acl("office"))))...)
			t.Logf("from Want to confirmed: %v", took)

			// A Faucet that comes back has it all.
			f.stop()
			c.Want(state([]spec.Network{a, b}, plain, container(b, 4, acl("office"))), nil)
			await(t, "delivery", c, func() bool { return c.Status().Delivered })
			if c.Settled(b, container(b, 4, acl("office"))) {
				t.Error("settled without Faucet")
			}
			f.start()
			await(t, "confirmation", c, confirmed(c))
			if f.cmd.ProcessState != nil {
				t.Error("Faucet has ended")
			}
		})
	}
}

// want waits for a State to be confirmed, and for all of it to be settled.
func want(t *testing.T, c *Courier, f *realFaucet, what string, s spec.State) []time.Duration {
	t.Helper()
	before := read(t, f.cfg.Config)
	text, _ := os.ReadFile(f.cfg.File)
	began := time.Now()
	c.Want(s, nil)
	await(t, what, c, func() bool {
		now, _ := os.ReadFile(f.cfg.File)
		return !slices.Equal(now, text) && c.Status().Confirmed
	})
	took := time.Since(began).Round(time.Millisecond)
	for _, e := range s.Endpoints {
		if !c.Settled(s.Networks[e.Network], e) {
			t.Errorf("%s: port %d is not settled", what, e.OFPort)
		}
	}
	if read(t, f.cfg.Config) != before {
		t.Error("the operator's file was changed")
	}
	return []time.Duration{took}
}

// TestOneACLTwice shows what once.go keeps from Faucet: when this fails, it's not
// needed any more.
func TestOneACLTwice(t *testing.T) {
	const half = "acls: {x: [{rule: {actions: {allow: 1}}}], y: [{rule: {actions: {allow: 1}}}]}\nvlans: {200: {acl_out: x}}\ndps: {d: {dp_id: 1, hardware: Open vSwitch, egress_pipeline: true, interfaces: {1: {native_vlan: 100, acls_in: [%s]}%s}}}\n"
	for port, lives := range map[string]bool{"x": false, "y": true} {
		f := newReal(t, fmt.Sprintf(half, port, ""), ReloadWatch)
		f.start()
		m := newMetrics(f.cfg.Metrics)
		await(t, "Faucet", newCourier(&memBackend{}, "", "", quiet()), func() bool { r, err := m.scrape(t.Context()); return err == nil && r.refused == "" })
		write(t, f.cfg.Config, fmt.Sprintf(half, port, ", 2: {native_vlan: 100}"))
		dead := func() bool { _, err := m.scrape(t.Context()); return err != nil }
		loaded := func() bool {
			r, err := m.scrape(t.Context())
			return err == nil && slices.Equal(r.hashes, []string{version(read(t, f.cfg.Config))})
		}
		await(t, "its reaction", newCourier(&memBackend{}, "", "", quiet()), func() bool { return dead() || loaded() && (lives || dead()) })
		if dead() == lives {
			t.Errorf("another VLAN with ACL x, port with ACL %s: Faucet lives: %t", port, !lives)
		}
		f.stop()
	}
}
