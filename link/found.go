// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	// Left reports that a container has had the other end, and has given it back.
	// One that was never up, or whose host end was down meanwhile, is not known to.
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
		if !f.Held && alias.Network != "" {
			f.Left = gaveBack(link, spec.ContainerLink(alias.Endpoint))
		}
		found = append(found, f)
	}
	return found, nil
}

// gaveBack reports whether a container has had the other end of a pair and has given
// it back. One answer of the kernel's says that the other end is here, and that the
// pair, without a carrier now, has had one: so it was up, in a container or (by a
// network manager) here. What is set on it when it is made tells these apart. What
// cannot be read is no; the kernel counts carriers since 4.16.
func gaveBack(host netlink.Link, container string) bool {
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(host.Attrs().Index)
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
	here, had, has := true, false, true
	for _, a := range attrs {
		switch {
		case a.Attr.Type == unix.IFLA_LINK_NETNSID:
			here = false
		case a.Attr.Type == unix.IFLA_CARRIER && len(a.Value) > 0:
			has = a.Value[0] != 0
		case a.Attr.Type == unix.IFLA_CARRIER_UP_COUNT && len(a.Value) >= 4:
			had = binary.NativeEndian.Uint32(a.Value) > 0
		}
	}
	return here && had && !has && moved(container)
}

// unmoved is net.ipv4.conf.<container end>.medium_id as it is made. A link that is
// moved to another network namespace gets the defaults of that one, and of this one
// (0, "a medium of its own") when it comes back. It means something to proxy_arp
// alone.
const unmoved = "-1"

func mediumID(link string) string { return filepath.Join("/proc/sys/net/ipv4/conf", link, "medium_id") }

func moved(link string) bool {
	text, err := os.ReadFile(mediumID(link))
	return err == nil && strings.TrimSpace(string(text)) != unmoved
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
