// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaces are where a container's network namespace can be opened: at Docker's
// own reference to it, else, wherever Docker keeps that, at some process in it.
var namespaces = []string{"/run/docker/netns/*", "/proc/[0-9]*/ns/net"}

// namespace opens the namespace that the kernel calls id, here.
func (h handle) namespace(id int) (netns.NsHandle, error) {
	refused := false
	for _, pattern := range namespaces {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return netns.None(), err
		}
		for _, path := range paths {
			ns, err := netns.GetFromPath(path)
			refused = refused || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
			if err != nil {
				continue // also of a process that has ended
			}
			if found, err := h.GetNetNsIdByFd(int(ns)); err == nil && found == id {
				return ns, nil
			}
			ns.Close()
		}
	}
	if refused {
		return netns.None(), ErrNoAdmin
	}
	return netns.None(), errors.New("nothing leads to the network namespace that it is in")
}

// peerElsewhere returns the other end of a veth pair, which is in another
// namespace, without going there.
func (h rawHandle) peerElsewhere(link netlink.Link) (netlink.Link, error) {
	req := h.request(unix.RTM_GETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(link.Attrs().ParentIndex)
	req.AddData(message)
	req.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(link.Attrs().NetNsID))))
	answer, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("cannot look at its other end: %w", err)
	}
	if len(answer) != 1 {
		return nil, errNotThere
	}
	peer, err := netlink.LinkDeserialize(nil, answer[0])
	if err != nil {
		return nil, err
	}
	// A kernel before 4.16 looks in our own namespace.
	if !isPeer(link, peer) {
		return nil, errNotThere
	}
	return peer, nil
}
