// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch signals on changed, which should have room for one, when an interface that
// is in a bridge gets an address: at boot, when the host's network is configured
// after the bridge was there, and when a lease is renewed on the interface. The
// host is cut off then until EnsureGateway moves the address. It returns when ctx
// ends. A moment in which the kernel could not be listened to counts as a signal.
//
// Somebody who gives the interface its addresses back each time is not fought for
// ever: signals that follow each other come more and more slowly.
func (l *Links) Watch(ctx context.Context, changed chan<- struct{}) {
	const pause = time.Second
	var calm calmer
	for ctx.Err() == nil {
		updates, end := make(chan netlink.AddrUpdate), make(chan struct{})
		err := netlink.AddrSubscribeWithOptions(updates, end, netlink.AddrSubscribeOptions{ErrorCallback: func(err error) {
			l.log.Debug("lost sight of the host's addresses; looking again", "err", err)
		}})
		if err != nil {
			close(end)
			l.log.Warn("cannot watch the host's addresses", "err", err)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
			continue
		}
		l.heed(ctx, updates, &calm, changed)
		close(end)
		for range updates { // until the subscription has ended
		}
		if ctx.Err() == nil {
			signal(changed)
		}
	}
}

// heed passes on what matters of updates, until there are no more.
func (l *Links) heed(ctx context.Context, updates <-chan netlink.AddrUpdate, calm *calmer, changed chan<- struct{}) {
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
			due = nil
			signal(changed)
		case u, ok := <-updates:
			if !ok {
				return
			}
			if ip := u.LinkAddress.IP; due != nil || !u.NewAddr || ip.To4() == nil && ip.IsLinkLocalUnicast() {
				continue
			}
			in, err := inBridge(ctx, u.LinkIndex)
			if err != nil {
				l.log.Debug("cannot tell whose an address is", "err", err)
			}
			if in {
				due = time.After(calm.wait(time.Now()))
			}
		}
	}
}

// calmer says how long to wait with the next signal: not at all with the first,
// then longer each time, up to a minute; after some quiet it begins anew.
type calmer struct {
	last  time.Time
	pause time.Duration
}

func (c *calmer) wait(now time.Time) time.Duration {
	const shortest, longest, quiet = time.Second, time.Minute, 5 * time.Minute
	if now.Sub(c.last) > quiet {
		c.pause = 0
	}
	wait := max(c.last.Add(c.pause).Sub(now), 0)
	c.last, c.pause = now.Add(wait), min(max(2*c.pause, shortest), longest)
	return wait
}

// inBridge recognises an uplink by what EnsureGateway did to it.
func inBridge(ctx context.Context, index int) (bool, error) {
	h, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer h.Close()
	link, err := h.LinkByIndex(index)
	if err != nil {
		return false, fmt.Errorf("interface %d: %w", index, err)
	}
	is := link.Attrs()
	return !answersARP(link) && is.RawFlags&unix.IFF_POINTOPOINT == 0 && is.Flags&net.FlagLoopback == 0 &&
		!strings.HasPrefix(is.Name, spec.HostLink("")), nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // the one that waits already says it
	}
}
