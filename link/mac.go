// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetMAC gives the endpoint's container end a MAC address, wherever that end is,
// and reports whether it has it for good. It has not while Docker is still to
// come, which sets the address that it was told as it moves the link into the
// container: in the host's namespace, where this sets it all the same, and in the
// container's until the link is up, which is the last that Docker does.
//
// To change a link in another namespace it takes a thread that goes there, and so
// CAP_SYS_ADMIN: rtnetlink can look at such a link from here (IFLA_TARGET_NETNSID
// of RTM_GETLINK, which takes no more than CAP_NET_ADMIN), and remove it, but in a
// request that changes a link the same attribute says where to move it: the one of
// that index in our own namespace, whatever it is.
func (l *Links) SetMAC(ctx context.Context, id spec.EndpointID, mac spec.MAC) (done bool, err error) {
	if done, err = setMAC(ctx, id, mac); err != nil {
		return false, fmt.Errorf("cannot set MAC address of the link of endpoint %q: %w", id.Short(), err)
	}
	return done, nil
}

func setMAC(ctx context.Context, id spec.EndpointID, mac spec.MAC) (done bool, err error) {
	want, err := net.ParseMAC(string(mac))
	if err != nil {
		return false, err
	}
	h, err := openRaw(ctx)
	if err != nil {
		return false, err
	}
	defer h.Close()
	host, err := h.find(spec.HostLink(id))
	if err != nil {
		return false, err
	}
	if host == nil {
		return false, fmt.Errorf("there is no link %q", spec.HostLink(id))
	}
	if err := owned(host, id); err != nil {
		return false, err
	}
	if host.Attrs().NetNsID < 0 {
		return false, h.setPeer(host, want)
	}
	peer, err := h.peerElsewhere(host)
	if err != nil || peer.Attrs().Flags&net.FlagUp == 0 {
		return false, err
	}
	if peer.Attrs().HardwareAddr.String() == want.String() {
		return true, nil
	}
	inside, err := h.enter(ctx, host.Attrs().NetNsID)
	if err != nil {
		return false, err
	}
	defer inside.Close()
	err = inside.setPeer(host, want)
	return err == nil, err
}

// setPeer sets the MAC of a link's other end, which is in the handle's namespace.
func (h handle) setPeer(link netlink.Link, mac net.HardwareAddr) error {
	peer, err := h.LinkByIndex(link.Attrs().ParentIndex)
	if err != nil {
		return err
	}
	if !isPeer(link, peer) {
		return errNotThere // moved since
	}
	if peer.Attrs().HardwareAddr.String() == mac.String() {
		return nil
	}
	return h.LinkSetHardwareAddr(peer, mac)
}

var errNotThere = errors.New("its other end has just been moved")

// isPeer reports whether a link found by the index that link has for its other end
// is that end. Each names the other's index.
func isPeer(link, peer netlink.Link) bool {
	return peer.Type() == "veth" && peer.Attrs().Index == link.Attrs().ParentIndex && peer.Attrs().ParentIndex == link.Attrs().Index
}

// ErrNoAdmin says what to change when the namespace may not be entered.
var ErrNoAdmin = errors.New("it is inside its container, where only a process with CAP_SYS_ADMIN can change it")

// enter opens a handle in the namespace that the kernel calls id, here.
func (h handle) enter(ctx context.Context, id int) (handle, error) {
	ns, err := h.namespace(id)
	if err != nil {
		return handle{}, err
	}
	defer ns.Close()
	inside, err := openAt(ctx, ns)
	// That package hands the cause on as text alone.
	if err != nil && strings.Contains(err.Error(), unix.EPERM.Error()) {
		return handle{}, ErrNoAdmin
	}
	return inside, err
}
