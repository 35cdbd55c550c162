// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// run runs a command in the test's network namespace, args separated by spaces.
func run(t testing.TB, command string) string {
	t.Helper()
	argv := strings.Fields(command)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// ip runs commands of ip's in one process.
func ip(t testing.TB, commands ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
}

// What the host's interface carries in these tests: addresses of both families,
// two of a subnet, labels, flags, lifetimes, scopes; routes in several tables, with
// metrics, gateways, sources, several hops.
var carried = []string{
	"addr add 192.0.2.5/24 brd + dev eth7",
	"addr add 192.0.2.6/24 dev eth7 label eth7:1",
	"addr add 192.0.2.9/24 brd 192.0.2.127 dev eth7 label eth7:abcdefghi",
	"addr add 198.18.0.1/32 dev eth7 scope host",
	"addr add 198.18.7.1/24 dev eth7 noprefixroute",
	"addr add 198.18.8.1 peer 198.18.8.2/32 dev eth7",
	"addr add 198.18.9.1/24 dev eth7 metric 77",
	"addr add 2001:db8::5/64 dev eth7 nodad",
	"addr add 2001:db8::6/64 dev eth7 noprefixroute",
	"addr add 2001:db8:1::5/64 dev eth7 metric 77",
	"addr add 192.0.2.7/24 dev eth7 valid_lft 5000 preferred_lft 4000",
	"addr add 2001:db8::7/64 dev eth7 valid_lft 5000 preferred_lft 4000",
	"route add default via 192.0.2.1 dev eth7 proto static",
	"route add default via 192.0.2.2 dev eth7 metric 200 src 192.0.2.6",
	"route append 203.0.113.0/26 via 192.0.2.3 dev eth7",
	"route append 203.0.113.0/26 via 192.0.2.2 dev eth7",
	"route add 203.0.113.64/26 via 192.0.2.3 dev eth7 mtu lock 1300 advmss 1000 proto 99",
	"route add 203.0.113.128/26 via 10.9.9.9 dev eth7 onlink table 7777",
	"route add 203.0.113.192/26 dev eth7 scope link table 7 tos 0x10",
	"route add 203.0.113.240/28 nexthop via 192.0.2.3 dev eth7 weight 3 nexthop via 198.19.0.2 dev other",
	"route add default via 2001:db8::1 dev eth7 metric 5 pref high",
	"route add default via fe80::1 dev eth7 metric 6",
	"route add 2001:db8:2::/48 via fe80::2 dev eth7 proto static expires 4000",
	// Hops by other links first: IPv6 appends those that are moved.
	"route add 2001:db8:3::/48 nexthop via fe80::4 dev other nexthop via fe80::2 dev eth7 weight 5 nexthop via fe80::3 dev eth7",
	"route add 2001:db8:4::/48 dev eth7 table 7777",
	"route add 2001:db8:8::/48 dev other",
	"route append 2001:db8:8::/48 dev eth7",
}

// migrating makes a host whose eth7 is its way to a LAN, in a network namespace of
// its own, and a bridge that it is to go into; br9 stands for what Open vSwitch
// makes.
func migrating(t testing.TB) (n spec.Network, l *Links, lan netns.NsHandle) {
	t.Helper()
	newNetns(t)
	lan = sibling(t)
	ip(t, "link set lo up", "link add eth7 address 02:00:5e:00:53:07 type veth peer lan0 address 02:00:5e:00:53:08",
		"link add other address 02:00:5e:00:53:09 type veth peer other0 address 02:00:5e:00:53:0a")
	for _, name := range []string{"eth7", "lan0", "other", "other0"} {
		must(t, setIPv6(name, "accept_dad", "0")) // nothing to wait for
	}
	must(t, netlink.LinkSetNsFd(byName(t, "lan0"), int(lan)))
	inside(t, lan, func() {
		ip(t, "addr add 192.0.2.1/24 dev lan0", "addr add 2001:db8::1/64 dev lan0 nodad", "link set lan0 up", "link set lo up")
	})
	ip(t, "link set eth7 up", "addr add 198.19.0.1/24 dev other", "link set other0 up", "link set other up")
	n = spec.Network{ID: networkID, Bridge: "br9", Mode: spec.Flat, MigrateUplinks: true, LocalMAC: "02:00:5e:00:53:07", Uplinks: []spec.Uplink{{Name: "eth7", OFPort: 1}}}
	return n, newLinks().RecordIn(filepath.Join(t.TempDir(), "records")), lan
}

func inside(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	must(t, netns.Set(ns))
	f()
	must(t, netns.Set(here))
}

// plug does what Open vSwitch does with a bridge's transaction, unplug what it
// does when the bridge is removed.
func plug(t testing.TB) {
	t.Helper()
	run(t, "ip link add br9 address 02:00:5e:00:53:07 type bridge")
	run(t, "ip link set eth7 master br9")
}

func unplug(t testing.TB) {
	t.Helper()
	run(t, "ip link del br9")
}

var remaining = regexp.MustCompile(`\d+sec`)

// byKernel is what a later iproute2 says of an address that the kernel made.
var byKernel = regexp.MustCompile(`proto kernel_ll ?`)

// shown is of what ip(8) prints what is the same at any time and with any version.
func shown(out string) string {
	return byKernel.ReplaceAllString(remaining.ReplaceAllString(out, "SECONDS"), "")
}

// snapshot is what iproute2 says of the host, but for seconds that pass, and the
// link br9.
func snapshot(t testing.TB) string {
	t.Helper()
	settle(t)
	out := run(t, "ip addr show dev eth7") + run(t, "ip addr show dev other") + run(t, "ip route show table all")
	return shown(out)
}

// settle waits for the kernel, which gives a link its own IPv6 address when it has
// a carrier, and finishes with an address, then adds its route, in a worker.
func settle(t testing.TB) {
	t.Helper()
	for ctx := deadline(t); ; {
		addrs, local := run(t, "ip -6 -o addr show"), run(t, "ip -6 route show table local type local")
		if strings.Count(addrs, "fe80:") >= 3 && !strings.Contains(addrs, "tentative") && strings.Count(addrs, "inet6") == strings.Count(local, "local") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("IPv6 does not settle: %s%s", addrs, local)
		}
	}
}

func TestMigrateAndReturn(t *testing.T) {
	n, l, _ := migrating(t)
	ctx := deadline(t)
	ip(t, carried...)
	before := snapshot(t)
	golden(t, "migrate-before", before)
	must(t, l.CheckNetwork(ctx, n))
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Fatal("a check changes something:", diff)
	}
	plug(t)
	must(t, ensure(l, ctx, n))
	if out := run(t, "ip -6 addr show dev br9 scope global tentative"); out != "" {
		t.Error("not usable at once:", out)
	}
	moved := snapshot(t) + shown(run(t, "ip addr show dev br9"))
	golden(t, "migrate-moved", moved)
	must(t, ensure(l, ctx, n))
	if diff := cmp.Diff(moved, snapshot(t)+shown(run(t, "ip addr show dev br9"))); diff != "" {
		t.Error("the second time changes something:", diff)
	}
	for range 2 {
		must(t, l.ReturnUplinks(ctx, n))
	}
	if left := globals(t, "br9"); len(left) > 0 {
		t.Error("left on the bridge:", left)
	}
	unplug(t)
	for range 2 {
		must(t, l.ReleaseNetwork(ctx, n))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Error("not as it was:", diff)
		}
	}
	must(t, l.SweepUplinks(ctx, func(spec.NetworkID) bool { return false }))
	if _, err := os.Stat(l.records); !errors.Is(err, os.ErrNotExist) {
		t.Error("records are left")
	}
}

// golden compares with testdata/NAME; see hacking.md.
func golden(t testing.TB, name, got string) {
	t.Helper()
	got = volatile.ReplaceAllString(got, "")
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}
