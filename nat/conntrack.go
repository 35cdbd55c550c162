// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// flowLimit bounds one request about connections.
const flowLimit = 5 * time.Second

// dropFlows forgets UDP "connections" that would go on as they began though the
// ports are published otherwise now: to a container that has gone, or to the host
// itself from before the port was published. A sender that never pauses would keep
// such an entry for ever. Of gone and now, what is in both is left alone.
//
// A failure costs little and has no remedy; on a kernel without ctnetlink there
// is no such thing.
func (t *Table) dropFlows(ctx context.Context, gone, now []spec.Published) {
	filter := staleFlows{}
	for _, p := range gone {
		if p.Proto == spec.UDP && !slices.Contains(now, p) {
			filter.gone = append(filter.gone, p)
		}
	}
	for _, p := range now {
		if p.Proto == spec.UDP && !slices.Contains(gone, p) {
			filter.now = append(filter.now, p)
		}
	}
	if len(filter.gone)+len(filter.now) == 0 || ctx.Err() != nil {
		return
	}
	h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
	if err != nil {
		t.log.Debug("cannot ask for connections", "err", err)
		return
	}
	defer h.Close()
	if err := h.SetSocketTimeout(flowLimit); err != nil {
		t.log.Debug("cannot ask for connections", "err", err)
		return
	}
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			filter.local = append(filter.local, p.Addr())
		}
	}
	for _, f := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if n, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, f, filter); err != nil || n > 0 {
			t.log.Debug("forgot UDP connections of published ports", "count", n, "err", err)
		}
	}
}

// staleFlows matches the connections that dropFlows is about.
type staleFlows struct {
	gone, now []spec.Published
	local     []netip.Addr
}

func (s staleFlows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	asked, answers := addr(f.Forward.DstIP), addr(f.Reverse.SrcIP)
	for _, p := range s.gone {
		if f.Forward.DstPort == p.HostPort && f.Reverse.SrcPort == p.To.Port() && answers == p.To.Addr() {
			return true
		}
	}
	for _, p := range s.now {
		if f.Forward.DstPort == p.HostPort && asked.Is4() == p.To.Addr().Is4() && answers != p.To.Addr() &&
			(asked == p.HostIP || p.HostIP.IsUnspecified()) && slices.Contains(s.local, asked) {
			return true
		}
	}
	return false
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
