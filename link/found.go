// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Found is a veth pair of ours as the host has it.
type Found struct {
	// Alias is what the host end says. A pair whose creation was cut off has no
	// Network, and of the Endpoint only the first 12 digits; DeleteVeth takes
	// them.
	Alias spec.Alias
	Link  string // name of the host end
	// Held reports that the other end is in another network namespace: a
	// container has it.
	Held bool
	// Left reports that a container has had the other end, and has given it back:
	// it is here, down, and has been up, which nobody does to it here.
	Left bool
}

// Endpoints lists every veth pair of ours, in the order the kernel has them.
// Links that merely look like ours are not in it.
func (l *Links) Endpoints(ctx context.Context) ([]Found, error) {
	h, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list links: %w", err)
	}
	defer h.Close()
	links, err := dump(ctx, h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("cannot list links: %w", err)
	}
	var found []Found
	for _, link := range links {
		alias, ok := hostEnd(link)
		if !ok {
			continue
		}
		// The kernel gives a peer in another namespace that namespace's id, and
		// none when both ends are in the same one.
		f := Found{Alias: alias, Link: link.Attrs().Name, Held: link.Attrs().NetNsID >= 0}
		if !f.Held && peerIsDown(link, links) {
			f.Left = wasUp(link)
		}
		found = append(found, f)
	}
	return found, nil
}

func peerIsDown(link netlink.Link, links []netlink.Link) bool {
	return slices.ContainsFunc(links, func(peer netlink.Link) bool {
		return isPeer(link, peer) && peer.Attrs().Flags&net.FlagUp == 0
	})
}

// wasUp reports whether a link has ever had a carrier, which a veth has when both
// ends are up. The kernel counts that since 4.16; what cannot be read is no.
func wasUp(link netlink.Link) bool {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(link.Attrs().Index)
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	request.AddData(message)
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 {
		return false
	}
	attrs, err := nl.ParseRouteAttr(answers[0][unix.SizeofIfInfomsg:])
	if err != nil {
		return false
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_CARRIER_UP_COUNT && len(a.Value) >= 4 {
			return binary.NativeEndian.Uint32(a.Value) > 0
		}
	}
	return false
}

// hostEnd returns the alias of a link that is the host end of a pair of ours.
func hostEnd(link netlink.Link) (spec.Alias, bool) {
	name := link.Attrs().Name
	if alias, ok := spec.ParseAlias(link.Attrs().Alias); ok {
		return alias, name == spec.HostLink(alias.Endpoint)
	}
	if !halfMade(link) {
		return spec.Alias{}, false
	}
	short := spec.EndpointID(name[len(name)-12:])
	return spec.Alias{Endpoint: short}, name == spec.HostLink(short)
}
