// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netns"
)

var flavours = []string{"nft", "legacy"}

// newNetns puts the test into a network namespace of its own, with a lock file
// of its own for iptables. The thread is never unlocked: Go ends it with the
// test, and the namespace with it.
func newNetns(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("cannot make network namespace: %v", err)
	}
	ns.Close()
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "xtables.lock"))
}

// host is a network namespace with a Table in one flavour.
type host struct {
	testing.TB
	*Table
	ctx     context.Context
	flavour string
}

func newHost(t testing.TB, flavour string) *host {
	t.Helper()
	newNetns(t)
	return newHostHere(t, flavour)
}

func newHostHere(t testing.TB, flavour string) *host {
	t.Helper()
	if out, err := exec.Command("iptables-"+flavour, "-t", "nat", "-S").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("iptables-%s does not work here: %s", flavour, out)
		}
		t.Skipf("iptables-%s does not work here: %s", flavour, strings.TrimSpace(string(out)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	h := &host{TB: t, ctx: ctx, flavour: flavour}
	h.Table = h.table(flavour)
	return h
}

// table returns a Table without memory, as a new process has it.
func (h *host) table(flavour string) *Table {
	h.Helper()
	table, err := newTable(h.ctx, slog.New(slog.DiscardHandler), flavour, time.Second)
	must(h, err)
	return table
}

func (h *host) apply(nets ...spec.Network) {
	h.Helper()
	must(h, h.Apply(h.ctx, nets, nil))
}

func (h *host) changed() bool {
	h.Helper()
	c, err := h.Check(h.ctx)
	must(h, err)
	return c
}

// ipt runs iptables as somebody else would.
func (h *host) ipt(args string) {
	h.Helper()
	command(h, "iptables-"+h.flavour, strings.Fields(args)...)
}

// restore sets the stage.
func (h *host) restore(text string) {
	h.Helper()
	cmd := exec.Command("iptables-" + h.flavour + "-restore")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.Fatalf("%v: %s", err, out)
	}
}

// save prints the tables that matter of one family, without the comments, which
// carry the date.
func (h *host) save(command string) string {
	h.Helper()
	return tables(h, command+"-"+h.flavour)
}

func tables(t testing.TB, program string) string {
	t.Helper()
	var b strings.Builder
	for _, table := range []string{"filter", "nat", "raw"} {
		out, err := exec.Command(program+"-save", "-t", table).Output()
		must(t, err)
		for _, line := range strings.SplitAfter(string(out), "\n") {
			if !strings.HasPrefix(line, "#") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func readSysctl(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return strings.TrimSpace(string(b))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err says each of parts, in one line.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %q; want one line with %q", err, part)
		}
	}
}

// network makes a network with one subnet per gateway.
func network(letter string, mode spec.Mode, gateways ...string) spec.Network {
	n := spec.Network{ID: spec.NetworkID(strings.Repeat(letter, 64)), Bridge: "ovs-" + letter, Mode: mode}
	for _, g := range gateways {
		p := netip.MustParsePrefix(g)
		n.Subnets = append(n.Subnets, spec.Subnet{Pool: p.Masked(), Gateway: p})
	}
	return n
}

// lan puts an interface of the host into the network's bridge.
func lan(n spec.Network, name string) spec.Network {
	n.Uplinks = []spec.Uplink{{Name: name}}
	return n
}

var (
	natA    = network("a", spec.NAT, "10.1.0.1/24")
	natB    = network("b", spec.NAT, "10.2.0.1/24")
	routedC = network("c", spec.Routed, "10.3.0.1/24")
	flatD   = lan(network("d", spec.Flat, "10.4.0.1/24"), "eth7")
	dualE   = network("e", spec.NAT, "10.5.0.1/24", "fd00:5::1/64")
	dualF   = network("f", spec.Routed, "10.6.0.1/24", "fd00:6::1/64")
)
