// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// shift makes items on the link to, in their order, and then removes them from the
// other, last one first: each is on one of them at any moment, and what is left of
// a list when it is cut off is the beginning of it, so that it can be made whole.
func (l *Links) shift(ctx context.Context, h rawHandle, items []item, from, to netlink.Link) error {
	a, b := endOf(from), endOf(to)
	if err := l.put(ctx, h, items, a, b); err != nil {
		return err
	}
	for _, i := range slices.Backward(items) {
		if err := l.at("remove %s from %s", i, a.name); err != nil {
			return err
		}
		err := h.send(i.moved(a, a), i.Kind+1, 0) // RTM_DEL… is RTM_NEW… + 1
		if err != nil && !gone(err) {
			return fmt.Errorf("cannot remove %s from %s: %w", i, a.name, err)
		}
	}
	return nil
}

// put makes items that were on the link from on the link to. An IPv6 address is
// usable at once, without duplicate detection: it is the host's already, or was.
func (l *Links) put(ctx context.Context, h rawHandle, items []item, from, to end) error {
	if slices.ContainsFunc(items, func(i item) bool { return i.family() == unix.AF_INET6 }) {
		if err := setIPv6(to.name, "disable_ipv6", "0"); err != nil {
			return err
		}
	}
	for _, i := range items {
		if err := errors.Join(ctx.Err(), l.at("add %s to %s", i, to.name)); err != nil {
			return err
		}
		if err := h.place(i.moved(from, to)); err != nil {
			return fmt.Errorf("cannot add %s to %s: %w", i, to.name, err)
		}
	}
	return nil
}

func (h rawHandle) place(i item) error {
	if i.Kind == unix.RTM_NEWROUTE {
		err := h.send(i, i.Kind, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	const replace = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	if i.family() == unix.AF_INET6 {
		quick := i.flagged(unix.IFA_F_NODAD, unix.IFA_F_OPTIMISTIC)
		if err := h.send(quick, i.Kind, replace); err != nil {
			return err
		}
		// Once more, with the flags that it had.
	}
	return h.send(i, i.Kind, replace)
}

// gone tells the errors of removing what is not there.
func gone(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
}

func endOf(link netlink.Link) end { return end{link.Attrs().Name, link.Attrs().Index} }
