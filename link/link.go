// SPDX-License-Identifier: Apache-2.0

// Package link makes the network interfaces that dovesnap owns what they should
// be: the veth pair of each endpoint and the gateway addresses on each bridge's
// own link. It also judges interfaces that the user wants put into a bridge, and
// keeps the host's own ARP from them while they are in it.
//
// Every function can be called again at any moment, and then does only what is
// missing. Nothing here remembers anything: what is ours is told by the link
// itself.
//
// An interface that carries the host's addresses and routes may become an uplink
// when its network has MigrateUplinks: the bridge's own link then stands in for it,
// with its MAC. How a dovesnap that has just started knows what belongs back:
//
//   - Everything on that link belongs to the interface, but for the network's own
//     gateway addresses and the routes that the kernel makes with those; also what an
//     operator or a DHCP client put there later. No mark is needed beside the network
//     itself, which OVSDB has. The interface is the uplink whose MAC is LocalMAC.
//   - Each address and route is made on the one before it is removed from the other,
//     the last one first. After a crash anywhere, EnsureGateway goes on towards the
//     bridge and ReturnUplinks towards the interface; a failure without a crash is
//     taken back by the same code.
//   - The bridge's link can vanish with all that is on it: with ovs-vsctl del-br, a
//     lost database, or vswitchd where its datapath is userspace. For that, a record
//     in the run directory (RecordIn) has a copy, written before anything is removed
//     and renewed by each EnsureGateway. It counts only when the link is gone, or has
//     another index, so that it never brings back what somebody removed.
//     SweepUplinks does for records of networks that nobody knows any more.
//   - After a reboot there is no record, and the host's network configuration has put
//     the addresses on the interface again: EnsureGateway moves them as at first.
//     Watch tells when they come later than that.
//
// Be aware:
//   - Ownership of a veth is its alias (spec.Alias). The kernel cannot set an
//     alias while it creates a link, so a pair whose creation was cut off is
//     recognised by the host end's MAC, which is derived from its name and set
//     at creation.
//   - The link of a bridge is made and destroyed by Open vSwitch. Whether a
//     bridge is ours is written in OVSDB; this package cannot tell.
//   - An interface that the user put into a bridge has no mark of ours. What is
//     done to it is undone by ReleaseNetwork, and after a network was lost
//     without it, by hand: ip link set <interface> arp on. ReleaseNetwork also
//     switches ARP on where it was off before (a dummy interface).
//   - A DHCP client or network manager that goes on with the interface gets no
//     answers there. What it puts on the interface is moved again, with its
//     lifetimes, by the next EnsureGateway, which warns of it; what runs out on the
//     bridge is gone. CheckNetwork warns when one is known to manage the interface.
//   - Neighbour entries, multicast memberships, and rules of firewalls that name the
//     interface do not move. IPv6 link-local addresses need not: the bridge has its
//     own of the same MAC.
//   - A call works in the network namespace of the thread it runs on. The daemon
//     lives in the host's.
//   - One netlink request has no context, only a socket timeout. The timeout is
//     what is left of the context's deadline, and at most requestTimeout.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// requestTimeout bounds the wait for the kernel's answer to one request. The
// kernel answers within microseconds unless some driver holds the RTNL lock.
const requestTimeout = 5 * time.Second

// Links applies networks and endpoints to the links of the host. Its methods
// may be called at the same time for different networks and endpoints.
type Links struct {
	log     *slog.Logger
	records string                  // directory of records; "": none are kept
	step    func(what string) error // tests: called before each step of a migration
}

// New returns a Links that logs what it changed on links it did not make.
func New(log *slog.Logger) *Links { return &Links{log: log} }

// RecordIn has a Links keep in dir what it moved off the host's interfaces, for the
// case that a bridge's link vanishes with it. dir must not outlive the boot. It is
// made when it is needed.
func (l *Links) RecordIn(dir string) *Links {
	l.records = dir
	return l
}

// at is where tests make a migration fail.
func (l *Links) at(what string, args ...any) error {
	if l.step == nil {
		return nil
	}
	return l.step(fmt.Sprintf(what, args...))
}

// handle is a netlink socket that lives for one call, so that its timeout can
// follow that call's deadline.
type handle struct {
	*netlink.Handle
}

func open(ctx context.Context) (handle, error) { return openAt(ctx, netns.None()) }

// openAt opens a handle in a namespace; netns.None is the thread's.
func openAt(ctx context.Context, ns netns.NsHandle) (handle, error) {
	if err := ctx.Err(); err != nil {
		return handle{}, err
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return handle{}, fmt.Errorf("cannot open netlink socket: %w", err)
	}
	if err := h.SetSocketTimeout(timeout(ctx)); err != nil {
		h.Close()
		return handle{}, fmt.Errorf("cannot set netlink timeout: %w", err)
	}
	return handle{h}, nil
}

// timeout is that of one request: what is left of the deadline, and at most
// requestTimeout.
func timeout(ctx context.Context) time.Duration {
	limit := requestTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(min(limit, time.Until(deadline)), time.Millisecond) // 0 would be for ever
	}
	return limit
}

// find returns the link of that name, nil when there is none.
func (h handle) find(name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	return link, err
}

// dump repeats a listing that the kernel reports as interrupted: something
// changed while it was read, and what was returned may lack entries. It happens
// whenever containers start at the same time.
func dump[T any](ctx context.Context, list func() ([]T, error)) ([]T, error) {
	const tries = 10
	var err error
	for range tries {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var items []T
		if items, err = list(); err == nil {
			return items, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d times in a row: %w", tries, err)
}

// setIPv6 writes net.ipv6.conf.<link>.<key>. A kernel without IPv6 has nothing
// to set.
func setIPv6(link, key, value string) error {
	const conf = "/proc/sys/net/ipv6/conf"
	if _, err := os.Stat(conf); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return setSysctl(filepath.Join(conf, link, key), value)
}

// setSysctl opens without O_CREATE, unlike os.WriteFile: procfs answers that with
// EACCES rather than ENOENT when the link is gone.
func setSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
