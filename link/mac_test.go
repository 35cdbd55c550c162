// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net"
	"os/exec"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// joined makes an endpoint's pair, and moves its container end, called eth0 then,
// into a namespace with some process in it, as Docker does.
func joined(t *testing.T, l *Links, e spec.Endpoint) *netlink.Handle {
	t.Helper()
	must(t, l.EnsureVeth(deadline(t), spec.Network{ID: networkID}, e, false))
	there := sibling(t)
	must(t, netlink.LinkSetNsFd(byName(t, spec.ContainerLink(e.ID)), int(there)))
	inside, err := netlink.NewHandleAt(there)
	must(t, err)
	t.Cleanup(inside.Close)
	link, err := inside.LinkByName(spec.ContainerLink(e.ID))
	must(t, err)
	must(t, inside.LinkSetName(link, "eth0"))
	addr, err := netlink.ParseAddr("10.9.0.2/24")
	must(t, err)
	must(t, inside.AddrAdd(link, addr))

	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	process := exec.Command("cat") // until its stdin ends
	stdin, err := process.StdinPipe()
	must(t, err)
	must(t, netns.Set(there))
	err = process.Start()
	must(t, netns.Set(here))
	must(t, err)
	t.Cleanup(func() { stdin.Close(); _ = process.Wait() })
	return inside
}

func eth0(t *testing.T, inside *netlink.Handle) netlink.Link {
	t.Helper()
	link, err := inside.LinkByName("eth0")
	must(t, err)
	return link
}

const otherMAC = "0e:99:00:00:00:01"

func wantMAC(t *testing.T, link netlink.Link, want string) {
	t.Helper()
	if got := link.Attrs().HardwareAddr.String(); got != want {
		t.Errorf("%s has MAC address %s, want %s", link.Attrs().Name, got, want)
	}
}

func TestSetMACInTheHost(t *testing.T) {
	newNetns(t)
	ctx, l, e := deadline(t), newLinks(), endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, e, false))
	for range 2 {
		if done, err := l.SetMAC(ctx, e.ID, otherMAC); err != nil || done {
			t.Errorf("done %v, %v; Docker is still to come", done, err)
		}
		wantMAC(t, byName(t, spec.ContainerLink(e.ID)), otherMAC)
	}
	wantMAC(t, byName(t, spec.HostLink(e.ID)), hostMAC(spec.HostLink(e.ID)).String())
}

func TestSetMACInAContainer(t *testing.T) {
	newNetns(t)
	ctx, l, e := deadline(t), newLinks(), endpoint("0123456789ab")
	inside := joined(t, l, e)
	if done, err := l.SetMAC(ctx, e.ID, otherMAC); err != nil || done {
		t.Errorf("before it is up: done %v, %v", done, err)
	}
	wantMAC(t, eth0(t, inside), string(e.MAC))

	must(t, inside.LinkSetUp(eth0(t, inside)))
	before := lookAll(t)
	for range 2 {
		if done, err := l.SetMAC(ctx, e.ID, otherMAC); err != nil || !done {
			t.Errorf("done %v, %v", done, err)
		}
		wantMAC(t, eth0(t, inside), otherMAC)
	}
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("changed in the host:", diff)
	}
	addrs, err := inside.AddrList(eth0(t, inside), netlink.FAMILY_V4)
	must(t, err)
	if len(addrs) != 1 || eth0(t, inside).Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("it has lost its address, or is down: %v", addrs)
	}
}

// With what the daemon's unit leaves it, the link can be looked at and not changed.
func TestSetMACWithoutAdmin(t *testing.T) {
	newNetns(t)
	ctx, l, e := deadline(t), newLinks(), endpoint("0123456789ab")
	inside := joined(t, l, e)
	must(t, inside.LinkSetUp(eth0(t, inside)))
	keepNetAdmin(t)
	if done, err := l.SetMAC(ctx, e.ID, e.MAC); err != nil || !done {
		t.Errorf("the address that it has: done %v, %v", done, err)
	}
	before := lookAll(t)
	_, err := l.SetMAC(ctx, e.ID, otherMAC)
	wantError(t, err, `cannot set MAC address of the link of endpoint "0123456789ab"`, "CAP_SYS_ADMIN")
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("changed in the host:", diff)
	}
}

// keepNetAdmin takes every capability but those of the daemon's unit from the
// calling thread, which newNetns has given to the test alone.
func keepNetAdmin(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	const keep = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_DAC_OVERRIDE
	data := [2]unix.CapUserData{{Effective: keep, Permitted: keep}}
	must(t, unix.Capset(&header, &data[0]))
}

func TestSetMACRefuses(t *testing.T) {
	newNetns(t)
	ctx, l, e := deadline(t), newLinks(), endpoint("0123456789ab")
	_, err := l.SetMAC(ctx, e.ID, otherMAC)
	wantError(t, err, "there is no link")
	addVeth(t, spec.HostLink(e.ID), "elsewhere")
	before := lookAll(t)
	_, err = l.SetMAC(ctx, e.ID, otherMAC)
	wantError(t, err, "not dovesnap's")
	_, err = l.SetMAC(ctx, e.ID, "nonsense")
	wantError(t, err, "nonsense")
	if diff := cmp.Diff(before, lookAll(t)); diff != "" {
		t.Error("foreign links were touched:", diff)
	}
}
