// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"fmt"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
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
		if alias, ok := hostEnd(link); ok {
			// The kernel gives a peer in another namespace that namespace's id,
			// and none when both ends are in the same one.
			found = append(found, Found{Alias: alias, Link: link.Attrs().Name, Held: link.Attrs().NetNsID >= 0})
		}
	}
	return found, nil
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
