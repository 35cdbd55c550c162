// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"dovesnap/spec"
)

// prepare sets what of net.ipv6.conf a bridge's own link should have: before it is
// up, and before it gets an IPv6 address. fresh reports that it has not been up
// yet; want6 that it gets an IPv6 address of the network's.
//
// Of the keys that are set once, each pass would otherwise undo what an operator
// or package nat (accept_ra, where the default route is a router's) made of them.
func prepare(ctx context.Context, n spec.Network, fresh, want6 bool) error {
	nic := ""
	if n.MigrateUplinks && fresh {
		h, err := openRaw(ctx)
		if err != nil {
			return err
		}
		defer h.Close()
		link, err := h.carrier(ctx, n, nil)
		if err != nil {
			return err
		}
		if link != nil {
			nic = link.Attrs().Name
		}
	}
	var err error
	switch {
	case nic != "":
		// It stands in for the interface, advertisements of the LAN's router
		// included; but IPv6 that is off there is on here for the network's own
		// address only.
		err = copyIPv6(nic, n.Bridge)
		if err == nil && want6 && getIPv6(nic, "disable_ipv6") == "1" {
			err = setIPv6(n.Bridge, "accept_ra", "0")
		}
	case !n.MigrateUplinks:
		// The host is the router here: nobody else's advertisement may give it an
		// address or route.
		err = setIPv6(n.Bridge, "accept_ra", "0")
	}
	if err != nil {
		return err
	}
	if want6 || nic != "" {
		// No second of duplicate detection for the link-local address either, which
		// the kernel asks with for a neighbour that it forwards to: it is the MAC's.
		if err := setIPv6(n.Bridge, "accept_dad", "0"); err != nil {
			return err
		}
	}
	switch {
	case want6:
		return setIPv6(n.Bridge, "disable_ipv6", "0")
	case fresh && nic == "":
		// Not later: it takes the IPv6 addresses away, and there may be one of
		// the operator's.
		return setIPv6(n.Bridge, "disable_ipv6", "1")
	}
	return nil
}

// copyIPv6 gives a link the settings of another that decide which addresses and
// routes it gets from a router. How it makes its link-local address is not among
// them: where a network manager makes it, nobody would make the bridge's.
func copyIPv6(from, to string) error {
	for _, key := range []string{"disable_ipv6", "accept_ra", "accept_ra_defrtr", "accept_ra_pinfo", "autoconf", "use_tempaddr"} {
		value := getIPv6(from, key)
		if value == "" {
			continue
		}
		if err := setIPv6(to, key, value); err != nil {
			return err
		}
	}
	return nil
}

// getIPv6 reads net.ipv6.conf.<link>.<key>; "" when there is no such thing.
func getIPv6(link, key string) string {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", link, key))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
