// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// generation returns a text that changes whenever somebody changes rules, or an
// error where the kernel does not say. It costs some microseconds where reading
// the rules costs a process: Check asks it first.
//
// nf_tables counts its transactions (NFT_MSG_GETGEN). x_tables has no such
// number, but says how many rules of what size a table has; a rule that
// is replaced by one of the same size escapes.
func (t *tool) generation() (string, error) {
	if !t.legacy {
		return nftGeneration()
	}
	text := ""
	for _, table := range []string{"filter", "nat", "raw"} {
		part, err := legacyGeneration(t.six, table)
		if err != nil {
			return "", err
		}
		text += part
	}
	return text, nil
}

const (
	getGen = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN
	newGen = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
)

func nftGeneration() (string, error) {
	r := nl.NewNetlinkRequest(getGen, 0)
	r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	answers, err := r.Execute(unix.NETLINK_NETFILTER, newGen)
	if err != nil {
		return "", err
	}
	for _, a := range answers {
		attrs, err := nl.ParseRouteAttr(a[nl.SizeofNfgenmsg:])
		if err != nil {
			return "", err
		}
		for _, attr := range attrs {
			if attr.Attr.Type == unix.NFTA_GEN_ID && len(attr.Value) >= 4 {
				return fmt.Sprint(binary.BigEndian.Uint32(attr.Value)), nil
			}
		}
	}
	return "", fmt.Errorf("no generation in the answer")
}

// tableInfo is struct ipt_getinfo and ip6t_getinfo, linux/netfilter_ipv4/ip_tables.h.
type tableInfo struct {
	name       [32]byte
	validHooks uint32
	hookEntry  [5]uint32
	underflow  [5]uint32
	entries    uint32
	size       uint32
}

// getInfo is IPT_SO_GET_INFO and IP6T_SO_GET_INFO.
const getInfo = 64

func legacyGeneration(six bool, table string) (string, error) {
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if six {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var info tableInfo
	copy(info.name[:], table)
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), getInfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	switch errno {
	case 0:
		return fmt.Sprintf("%d %d %d %d;", info.entries, info.size, info.hookEntry, info.underflow), nil
	case unix.ENOENT: // the namespace has no such table
		return "-;", nil
	}
	return "", errno
}
