// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// defaultMTU stands for a Network's MTU of 0, in bytes.
const defaultMTU = 1500

// EnsureVeth makes the endpoint's veth pair, or brings a pair that is there to
// what the endpoint says; its alias then carries e.OFPort. The host end is up, or
// down while the endpoint is held, and silent (no ARP, no IPv6); the container end
// is down: Docker moves it into the container and sets it up there. A container end
// that has been moved is left alone.
//
// txOff switches transmit checksum offload off on the container end. A userspace
// datapath without TSO needs it: packets would leave with partial checksums that
// nothing completes.
//
// It is an error when either name is taken by a link that is not this
// endpoint's.
func (l *Links) EnsureVeth(ctx context.Context, n spec.Network, e spec.Endpoint, txOff bool) error {
	name := spec.HostLink(e.ID)
	if err := l.ensureVeth(ctx, n, e, txOff); err != nil {
		return fmt.Errorf("cannot make veth %q: %w", name, err)
	}
	return nil
}

func (l *Links) ensureVeth(ctx context.Context, n spec.Network, e spec.Endpoint, txOff bool) error {
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	want, err := veth(n, e)
	if err != nil {
		return err
	}
	host, err := h.find(want.Name)
	if err != nil {
		return err
	}
	if host == nil {
		if err := h.LinkAdd(want); err != nil {
			if errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("a link named %q exists and is not dovesnap's", want.PeerName)
			}
			return err
		}
		if err := setSysctl(mediumID(want.PeerName), unmoved); err != nil {
			return err
		}
		// Adding does not tell the indexes of both ends.
		if host, err = h.LinkByName(want.Name); err != nil {
			return err
		}
	} else if err := owned(host, e.ID); err != nil {
		return err
	}
	alias := spec.Alias{Network: n.ID, Endpoint: e.ID, OFPort: e.OFPort}.String()
	if err := h.bring(host, alias, want.MTU, want.HardwareAddr); err != nil {
		return err
	}
	if err := h.ensureContainerEnd(host, alias, want, txOff); err != nil {
		return fmt.Errorf("container end: %w", err)
	}
	if answersARP(host) {
		if err := h.LinkSetARPOff(host); err != nil {
			return err
		}
	}
	switch up := host.Attrs().Flags&net.FlagUp != 0; {
	case e.Held && up:
		return h.LinkSetDown(host)
	case e.Held, up:
		return nil
	}
	// Before it is up: otherwise it announces itself on the bridge.
	if err := setIPv6(want.Name, "disable_ipv6", "1"); err != nil {
		return err
	}
	return h.LinkSetUp(host)
}

// ensureContainerEnd does for the other end what can be done from here: nothing,
// once it is in a container.
func (h handle) ensureContainerEnd(host netlink.Link, alias string, want *netlink.Veth, txOff bool) error {
	if host.Attrs().NetNsID >= 0 {
		return nil
	}
	peer, err := h.LinkByIndex(host.Attrs().ParentIndex)
	if err != nil && !errors.As(err, &netlink.LinkNotFoundError{}) {
		return err
	}
	if err != nil || !isPeer(host, peer) {
		return nil // moved into a container between the two requests
	}
	if err := h.bring(peer, alias, want.MTU, want.PeerHardwareAddr); err != nil {
		return err
	}
	return setTxChecksum(peer.Attrs().Name, !txOff)
}

// bring changes what differs.
func (h handle) bring(link netlink.Link, alias string, mtu int, mac net.HardwareAddr) error {
	is := link.Attrs()
	if is.Alias != alias {
		if err := h.LinkSetAlias(link, alias); err != nil {
			return err
		}
	}
	if is.MTU != mtu {
		if err := h.LinkSetMTU(link, mtu); err != nil {
			return err
		}
	}
	if is.HardwareAddr.String() != mac.String() {
		return h.LinkSetHardwareAddr(link, mac)
	}
	return nil
}

// veth returns the pair that the endpoint should have. Both MACs are explicit:
// udev's MACAddressPolicy rewrites those that the kernel chose.
func veth(n spec.Network, e spec.Endpoint) (*netlink.Veth, error) {
	mac, err := net.ParseMAC(string(e.MAC))
	if err != nil {
		return nil, fmt.Errorf("endpoint MAC: %w", err)
	}
	attrs := netlink.NewLinkAttrs() // its queue length is "the kernel's default", not 0
	attrs.Name = spec.HostLink(e.ID)
	attrs.MTU = n.MTU
	if attrs.MTU == 0 {
		attrs.MTU = defaultMTU
	}
	attrs.HardwareAddr = hostMAC(attrs.Name)
	v := netlink.NewVeth(attrs)
	v.PeerName = spec.ContainerLink(e.ID)
	v.PeerHardwareAddr = mac
	return v, nil
}

// Nudge changes the MAC of the endpoint's host end, which nobody uses: Open vSwitch
// then tells its controllers of the port's state again. EnsureVeth gives it its own
// back. It's no error when there is no such link.
func (l *Links) Nudge(ctx context.Context, id spec.EndpointID) error {
	name := spec.HostLink(id)
	h, err := open(ctx)
	if err != nil {
		return fmt.Errorf("cannot nudge veth %q: %w", name, err)
	}
	defer h.Close()
	host, err := h.find(name)
	if host == nil || err != nil {
		return err
	}
	if err := owned(host, id); err != nil {
		return err
	}
	mac := hostMAC(name)
	if host.Attrs().HardwareAddr.String() == mac.String() {
		mac[5] ^= 1
	}
	if err := h.LinkSetHardwareAddr(host, mac); err != nil {
		return fmt.Errorf("cannot nudge veth %q: %w", name, err)
	}
	return nil
}

// hostMAC derives a host end's MAC from its name, so that a pair can be told as
// ours from the moment it exists. It is locally administered: Open vSwitch takes
// a bridge's own MAC from its ports but passes over such addresses, so that the
// gateway keeps its MAC when endpoints come and go.
func hostMAC(name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(name))
	mac := net.HardwareAddr(sum[:6])
	mac[0] = mac[0]&^1 | 2
	return mac
}

// owned returns an error unless the link is the endpoint's.
func owned(link netlink.Link, id spec.EndpointID) error {
	a, ok := spec.ParseAlias(link.Attrs().Alias)
	switch {
	case ok && a.Endpoint == id, halfMade(link):
		return nil
	case ok:
		return fmt.Errorf("link %q belongs to endpoint %s", link.Attrs().Name, a.Endpoint)
	}
	return fmt.Errorf("a link named %q exists and is not dovesnap's (its alias is %q)", link.Attrs().Name, link.Attrs().Alias)
}

// halfMade recognises a host end that dovesnap made and did not live to give an
// alias.
func halfMade(link netlink.Link) bool {
	is := link.Attrs()
	return link.Type() == "veth" && is.Alias == "" && spec.IsOurLink(is.Name) &&
		is.HardwareAddr.String() == hostMAC(is.Name).String()
}

// DeleteVeth removes the endpoint's pair by whichever end is visible; that
// removes the other end too, in a container or not. No such pair is fine. It is
// an error when a link of that name is not the endpoint's; it is then left as it
// is.
func (l *Links) DeleteVeth(ctx context.Context, id spec.EndpointID) error {
	h, err := open(ctx)
	if err != nil {
		return fmt.Errorf("cannot delete veth %q: %w", spec.HostLink(id), err)
	}
	defer h.Close()
	for _, name := range []string{spec.HostLink(id), spec.ContainerLink(id)} {
		if err := h.delete(name, id); err != nil {
			return fmt.Errorf("cannot delete veth %q: %w", name, err)
		}
	}
	return nil
}

func (h handle) delete(name string, id spec.EndpointID) error {
	link, err := h.find(name)
	if link == nil || err != nil {
		return err
	}
	if err := owned(link, id); err != nil {
		return err
	}
	if err := h.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}
