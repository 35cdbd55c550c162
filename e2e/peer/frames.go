// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// tag sends a hundred frames with a VLAN tag, of an EtherType for experiments (IEEE
// 802), by a packet socket: the kernel may have no VLAN interfaces.
func tag(device, vlan, to string) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	vid, err := strconv.ParseUint(vlan, 10, 12)
	if err != nil {
		return fmt.Errorf("cannot read VLAN %q", vlan)
	}
	mac, err := net.ParseMAC(to)
	if err != nil {
		return err
	}
	frame := append(append([]byte{}, mac...), link.HardwareAddr...)
	frame = binary.BigEndian.AppendUint16(frame, 0x8100)
	frame = binary.BigEndian.AppendUint16(frame, uint16(vid))
	frame = binary.BigEndian.AppendUint16(frame, 0x88b5)
	frame = append(frame, make([]byte, 60)...)
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	for range 100 {
		if err := unix.Sendto(socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			return err
		}
	}
	return nil
}

// watch prints the EtherType of each frame that arrives from a MAC address.
func watch(device, from string) error {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(from)
	if err != nil {
		return err
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // packet(7): in network order
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}); err != nil {
		return err
	}
	for frame := make([]byte, 2048); ; {
		n, _, err := unix.Recvfrom(socket, frame, 0)
		if err != nil && err != unix.EINTR {
			return err
		}
		if n >= 14 && bytes.Equal(frame[6:12], mac) {
			fmt.Printf("%04x\n", frame[12:14])
		}
	}
}
