// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dovesnap/spec"
)

// processWith returns the process that has a port, as people know it; "" when
// /proc does not tell: of sockets that do not listen, or are another user's.
func processWith(proto spec.Proto, at netip.AddrPort) string {
	if proto == spec.SCTP {
		return ""
	}
	var inodes []string
	for _, suffix := range []string{"", "6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + string(proto) + suffix)
		if err == nil {
			inodes = append(inodes, socketsAt(string(text), at)...)
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && slices.Contains(inodes, to) {
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(name)))
		}
	}
	return ""
}

// socketsAt returns what links in /proc/*/fd of sockets that keep others from an
// address look like, from the text of /proc/net/tcp and the like: number, local
// address, remote address, state, queues, timer, retransmissions, user, timeout,
// inode.
func socketsAt(text string, at netip.AddrPort) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 10 || f[9] == "0" { // a connection in TIME_WAIT has no inode
			continue
		}
		local, ok := parseHexAddress(f[1])
		if !ok || local.Port() != at.Port() {
			continue
		}
		a, b := local.Addr(), at.Addr()
		if a == b || a.IsUnspecified() && (a.Is6() || b.Is4()) || b.IsUnspecified() && a.Is4() == b.Is4() {
			out = append(out, "socket:["+f[9]+"]")
		}
	}
	return out
}

// parseHexAddress reads "0100007F:1F90": 32-bit words in the host's byte order.
func parseHexAddress(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), ok
}
