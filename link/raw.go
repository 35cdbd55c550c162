// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// rawHandle is a handle for messages of our own making, too.
type rawHandle struct {
	handle
	raw map[int]*nl.SocketHandle
}

func openRaw(ctx context.Context) (rawHandle, error) {
	h, err := open(ctx)
	if err != nil {
		return rawHandle{}, err
	}
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return rawHandle{}, fmt.Errorf("cannot open netlink socket: %w", err)
	}
	r := rawHandle{h, map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}}
	tv := unix.NsecToTimeval(timeout(ctx).Nanoseconds())
	if err := errors.Join(socket.SetSendTimeout(&tv), socket.SetReceiveTimeout(&tv)); err != nil {
		r.Close()
		return rawHandle{}, fmt.Errorf("cannot set netlink timeout: %w", err)
	}
	return r, nil
}

// Close closes the sockets.
func (h rawHandle) Close() {
	h.handle.Close()
	for _, s := range h.raw {
		s.Close()
	}
}

// list dumps one kind of item, of every link.
func (h rawHandle) list(kind uint16, family uint8) ([]item, error) {
	request, size := kind+2, unix.SizeofRtMsg // RTM_GET… is RTM_NEW… + 2
	if kind == unix.RTM_NEWADDR {
		size = unix.SizeofIfAddrmsg
	}
	req := h.request(request, unix.NLM_F_DUMP)
	req.AddRawData(append([]byte{family}, make([]byte, size-1)...))
	messages, err := req.Execute(unix.NETLINK_ROUTE, kind)
	if err != nil {
		return nil, err
	}
	var items []item
	for _, m := range messages {
		i, err := parseItem(kind, m, size)
		if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, nil
}

// send has the kernel make or remove an item.
func (h rawHandle) send(i item, request uint16, flags int) error {
	req := h.request(request, flags|unix.NLM_F_ACK)
	req.AddRawData(i.Head)
	for _, a := range i.Attrs {
		req.AddRawData(nl.NewRtAttr(int(a.Type), a.Value).Serialize())
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (h rawHandle) request(kind uint16, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(int(kind), flags)
	req.Sockets = h.raw
	return req
}
