// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} // of ff02::1, RFC 2464 section 7
)

// announce tells the neighbours, once, where the addresses among items are now. It
// matters where the bridge has another MAC than the interface, and to switches on
// the way; what is lost of it is made up for by ordinary resolution.
func (l *Links) announce(link netlink.Link, items []item) {
	mac := link.Attrs().HardwareAddr
	if len(mac) != 6 {
		return
	}
	// A router that announced itself as none would be no default router any more
	// (RFC 4861 section 7.2.5).
	router := getIPv6(link.Attrs().Name, "forwarding") == "1"
	for _, i := range items {
		if i.Kind != unix.RTM_NEWADDR {
			continue
		}
		ip := i.prefix().Addr()
		to, kind, frame := broadcast, unix.ETH_P_ARP, gratuitousARP(mac, ip)
		if ip.Is6() {
			to, kind, frame = allNodes, unix.ETH_P_IPV6, unsolicitedNA(mac, ip, router)
		}
		head := binary.BigEndian.AppendUint16(append(append([]byte{}, to...), mac...), uint16(kind))
		if err := transmit(link.Attrs().Index, to, append(head, frame...)); err != nil {
			l.log.Debug("cannot announce an address", "port", link.Attrs().Name, "err", err)
		}
	}
}

// transmit sends one frame by a link.
func transmit(index int, to net.HardwareAddr, frame []byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // 0: receives nothing
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	at := &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}
	copy(at.Addr[:], to)
	return unix.Sendto(fd, frame, 0, at)
}

// gratuitousARP is an announcement as of RFC 5227 section 2.3.
func gratuitousARP(mac net.HardwareAddr, ip netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, their lengths, request
	p = append(append(p, mac...), ip.AsSlice()...)
	return append(append(p, make([]byte, 6)...), ip.AsSlice()...)
}

// unsolicitedNA is a neighbour advertisement that overrides: RFC 4861 section
// 7.2.6.
func unsolicitedNA(mac net.HardwareAddr, ip netip.Addr, router bool) []byte {
	const icmpv6, advertisement, override, targetLinkLayer = 58, 136, 0x20, 2
	flags := byte(override)
	if router {
		flags |= 0x80
	}
	na := append([]byte{advertisement, 0, 0, 0, flags, 0, 0, 0}, ip.AsSlice()...)
	na = append(append(na, targetLinkLayer, 1), mac...)
	to := netip.MustParseAddr("ff02::1")
	pseudo := append(append([]byte{}, ip.AsSlice()...), to.AsSlice()...)
	pseudo = append(pseudo, 0, 0, 0, byte(len(na)), 0, 0, 0, icmpv6)
	binary.BigEndian.PutUint16(na[2:], checksum(append(pseudo, na...)))
	p := []byte{0x60, 0, 0, 0, 0, byte(len(na)), icmpv6, 255}
	return append(append(append(p, ip.AsSlice()...), to.AsSlice()...), na...)
}

// checksum is the Internet's (RFC 1071), of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
