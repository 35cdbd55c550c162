// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net"
	"os"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// seen is what a link looks like to somebody who lists the host.
type seen struct {
	Name, Alias, MAC string
	MTU, Queue       int
	Up, ARP          bool
}

func look(link netlink.Link) seen {
	a := link.Attrs()
	return seen{a.Name, a.Alias, a.HardwareAddr.String(), a.MTU, a.TxQLen, a.Flags&net.FlagUp != 0, a.RawFlags&unix.IFF_NOARP == 0}
}

func lookAll(t testing.TB) []seen {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	var out []seen
	for _, l := range links {
		out = append(out, look(l))
	}
	return out
}

func TestEnsureVeth(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID, MTU: 1400}, endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, n, e, false))

	alias := spec.Alias{Network: n.ID, Endpoint: e.ID, OFPort: 1}.String()
	host := look(byName(t, "dsv0123456789ab"))
	want := seen{"dsv0123456789ab", alias, hostMAC("dsv0123456789ab").String(), 1400, 1000, true, false}
	if diff := cmp.Diff(want, host); diff != "" {
		t.Error("host end:", diff)
	}
	want = seen{"dsc0123456789ab", alias, "02:42:ac:0c:00:08", 1400, 1000, false, true}
	if diff := cmp.Diff(want, look(byName(t, "dsc0123456789ab"))); diff != "" {
		t.Error("container end:", diff)
	}
	if v := sysctl(t, "dsv0123456789ab", "disable_ipv6"); v != "1" {
		t.Errorf("host end: disable_ipv6 is %s", v)
	}

	before := lookAll(t)
	must(t, l.EnsureVeth(ctx, n, e, false))
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("the second time changed:", diff)
	}
}

func TestEnsureVethRepairs(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, n, e, false))
	before := lookAll(t)
	for _, name := range []string{spec.HostLink(e.ID), spec.ContainerLink(e.ID)} {
		link := byName(t, name)
		must(t, netlink.LinkSetDown(link))
		must(t, netlink.LinkSetMTU(link, 1234))
		must(t, netlink.LinkSetHardwareAddr(link, net.HardwareAddr{2, 0, 0, 0, 0, 1}))
	}
	must(t, l.EnsureVeth(ctx, n, e, false))
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("not repaired:", diff)
	}
	must(t, netlink.LinkSetARPOn(byName(t, spec.HostLink(e.ID)))) // and it stays up
	must(t, l.EnsureVeth(ctx, n, e, false))
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("ARP not repaired:", diff)
	}

	e.OFPort = 77
	must(t, l.EnsureVeth(ctx, n, e, false))
	for _, name := range []string{spec.HostLink(e.ID), spec.ContainerLink(e.ID)} {
		if a, ok := spec.ParseAlias(byName(t, name).Attrs().Alias); !ok || a.OFPort != 77 {
			t.Errorf("%s: alias says %+v, want OF port 77", name, a)
		}
	}
}

func TestEnsureVethAfterMove(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, n, e, true))
	container := sibling(t)
	must(t, netlink.LinkSetNsFd(byName(t, spec.ContainerLink(e.ID)), int(container)))

	e.OFPort = 3
	must(t, l.EnsureVeth(ctx, n, e, true))
	if exists(spec.ContainerLink(e.ID)) {
		t.Error("made a second container end")
	}
	found, err := l.Endpoints(ctx)
	must(t, err)
	want := []Found{{Alias: spec.Alias{Network: n.ID, Endpoint: e.ID, OFPort: 3}, Link: spec.HostLink(e.ID), Held: true}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}

	must(t, l.DeleteVeth(ctx, e.ID))
	inside, err := netlink.NewHandleAt(container)
	must(t, err)
	defer inside.Close()
	if _, err := inside.LinkByName(spec.ContainerLink(e.ID)); err == nil {
		t.Error("the container's end outlived the host's")
	}
}

func TestEnsureVethRefusesForeign(t *testing.T) {
	e := endpoint("0123456789ab")
	for name, taken := range map[string][2]string{
		"host end":      {spec.HostLink(e.ID), "elsewhere"},
		"container end": {"elsewhere", spec.ContainerLink(e.ID)},
	} {
		t.Run(name, func(t *testing.T) {
			newNetns(t)
			ctx, l := deadline(t), newLinks()
			addVeth(t, taken[0], taken[1])
			before := lookAll(t)
			wantError(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, e, true), `cannot make veth "dsv0123456789ab"`, "not dovesnap's")
			wantError(t, l.DeleteVeth(ctx, e.ID), "cannot delete veth", "not dovesnap's")
			if diff := cmp.Diff(before, lookAll(t)); diff != "" {
				t.Error("foreign links were touched:", diff)
			}
		})
	}
}

// Two endpoints whose IDs begin with the same 12 digits want the same name.
func TestEnsureVethRefusesCollision(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, first, second := spec.Network{ID: networkID}, endpoint("0123456789ab1"), endpoint("0123456789ab2")
	must(t, l.EnsureVeth(ctx, n, first, false))
	wantError(t, l.EnsureVeth(ctx, n, second, false), "belongs to endpoint "+string(first.ID))
	wantError(t, l.DeleteVeth(ctx, second.ID), "belongs to endpoint "+string(first.ID))
	must(t, l.DeleteVeth(ctx, first.ID))
}

func TestEnsureVethNeedsMAC(t *testing.T) {
	newNetns(t)
	e := endpoint("0123456789ab")
	e.MAC = "nonsense"
	wantError(t, newLinks().EnsureVeth(deadline(t), spec.Network{ID: networkID}, e, false), "endpoint MAC", "nonsense")
}

func TestDeleteVeth(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e, other := spec.Network{ID: networkID}, endpoint("0123456789ab"), endpoint("ba9876543210")
	must(t, l.EnsureVeth(ctx, n, e, false))
	must(t, l.EnsureVeth(ctx, n, other, false))
	must(t, l.DeleteVeth(ctx, e.ID))
	must(t, l.DeleteVeth(ctx, e.ID)) // absent is fine
	if exists(spec.HostLink(e.ID)) || exists(spec.ContainerLink(e.ID)) {
		t.Error("it is still there")
	}
	if !exists(spec.HostLink(other.ID)) || !exists(spec.ContainerLink(other.ID)) {
		t.Error("the other endpoint's is gone")
	}
	// Somebody renamed the host end: the container end is enough.
	must(t, netlink.LinkSetName(byName(t, spec.HostLink(other.ID)), "renamed"))
	must(t, l.DeleteVeth(ctx, other.ID))
	if exists("renamed") {
		t.Error("deleting by the container end left the host end")
	}
}

// A crash between creating the pair and giving it an alias must not leave a pair
// that nobody owns.
func TestHalfMadeVeth(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n := spec.Network{ID: networkID}
	again, orphan := endpoint("0123456789ab"), endpoint("ba9876543210")
	for _, e := range []spec.Endpoint{again, orphan} {
		v, err := veth(n, e)
		must(t, err)
		must(t, netlink.LinkAdd(v))
	}
	must(t, l.EnsureVeth(ctx, n, again, false))
	found, err := l.Endpoints(ctx)
	must(t, err)
	for _, f := range found {
		if f.Alias.Endpoint != again.ID {
			must(t, l.DeleteVeth(ctx, f.Alias.Endpoint))
		}
	}
	if exists(spec.HostLink(orphan.ID)) || !exists(spec.HostLink(again.ID)) {
		t.Errorf("swept wrongly: %+v", found)
	}
}

func TestEndpointsListsOursOnly(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	addVeth(t, "eth7", "eth8")
	addVeth(t, "dsvffffffffffff", "dscffffffffffff") // looks like ours, has no mark
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, n, e, false))
	found, err := l.Endpoints(ctx)
	must(t, err)
	want := []Found{{Alias: spec.Alias{Network: n.ID, Endpoint: e.ID, OFPort: 1}, Link: spec.HostLink(e.ID)}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

func TestTxOffload(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	n, e := spec.Network{ID: networkID}, endpoint("0123456789ab")
	for _, off := range []bool{false, true, true, false} {
		must(t, l.EnsureVeth(ctx, n, e, off))
		got, err := ethtool(spec.ContainerLink(e.ID), ethtoolGetTxChecksum, 0)
		must(t, err)
		if (got == 0) != off {
			t.Errorf("txOff %v: the container end's tx checksum offload is %d", off, got)
		}
		host, err := ethtool(spec.HostLink(e.ID), ethtoolGetTxChecksum, 0)
		must(t, err)
		if host != 1 {
			t.Errorf("txOff %v: the host end's changed", off)
		}
	}
	wantError(t, setTxChecksum("absent", true), `"absent"`, "no such device")
}

func TestHostMAC(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1000 {
		mac := hostMAC(fmt.Sprintf("dsv%012x", i))
		if mac[0]&1 != 0 || mac[0]&2 == 0 {
			t.Fatalf("%s is not a locally administered unicast address", mac)
		}
		seen[mac.String()] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d addresses for 1000 names", len(seen))
	}
}

func sysctl(t testing.TB, link, key string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + link + "/" + key)
	must(t, err)
	return string(b[:len(b)-1])
}

// BenchmarkEnsureVeth attaches one endpoint, and detaches it, beside others.
func BenchmarkEnsureVeth(b *testing.B) {
	for _, others := range []int{10, 300} {
		b.Run(fmt.Sprintf("beside=%d", others), func(b *testing.B) {
			newNetns(b)
			ctx, l, n := b.Context(), newLinks(), spec.Network{ID: networkID}
			for i := range others {
				must(b, l.EnsureVeth(ctx, n, endpoint(fmt.Sprintf("aaaa%08x", i)), true))
			}
			for i := 0; b.Loop(); i++ {
				e := endpoint(fmt.Sprintf("bbbb%08x", i))
				must(b, l.EnsureVeth(ctx, n, e, true))
				b.StopTimer()
				must(b, l.DeleteVeth(ctx, e.ID))
				b.StartTimer()
			}
		})
	}
}
