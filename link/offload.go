// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/ethtool.h; x/sys has the ioctl but not these commands.
const (
	ethtoolGetTxChecksum = 0x16
	ethtoolSetTxChecksum = 0x17
)

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct {
	command uint32
	data    uint32
}

// ethtoolRequest is struct ifreq as SIOCETHTOOL reads it: the union holds a
// pointer and is 24 bytes long at most.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data *ethtoolValue
	_    [16]byte
}

// setTxChecksum switches a link's transmit checksum offload, as `ethtool -K
// <link> tx on|off` does; segmentation offloads that depend on it follow.
func setTxChecksum(link string, on bool) error {
	is, err := ethtool(link, ethtoolGetTxChecksum, 0)
	if err != nil {
		return fmt.Errorf("cannot read checksum offload of %q: %w", link, err)
	}
	var want uint32
	if on {
		want = 1
	}
	if is == want {
		return nil
	}
	if _, err := ethtool(link, ethtoolSetTxChecksum, want); err != nil {
		return fmt.Errorf("cannot switch checksum offload of %q: %w", link, err)
	}
	return nil
}

// ethtool runs one of the commands that pass a single value, and returns it.
func ethtool(link string, command, value uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	v := &ethtoolValue{command: command, data: value}
	r := ethtoolRequest{data: v}
	copy(r.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(v)
	if errno != 0 {
		return 0, errno
	}
	return v.data, nil
}
