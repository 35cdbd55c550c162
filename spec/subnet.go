// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"net/netip"
)

// ParseSubnet reads an IPAM pool and the gateway that Docker allotted in it, as
// address and length ("172.18.0.1/16"); "" when it allotted none.
func ParseSubnet(pool, gateway string) (Subnet, error) {
	p, err := netip.ParsePrefix(pool)
	if err != nil {
		return Subnet{}, fmt.Errorf("subnet %q is not an address and length", pool)
	}
	s := Subnet{Pool: p.Masked()}
	if gateway == "" {
		return s, nil
	}
	if s.Gateway, err = netip.ParsePrefix(gateway); err != nil {
		// `docker network inspect` shows the bare address.
		a, err := netip.ParseAddr(gateway)
		if err != nil {
			return Subnet{}, fmt.Errorf("gateway %q of subnet %s is not an address", gateway, p)
		}
		s.Gateway = netip.PrefixFrom(a, p.Bits())
	}
	if !s.Pool.Contains(s.Gateway.Addr()) {
		return Subnet{}, fmt.Errorf("gateway %s is not in subnet %s", s.Gateway.Addr(), p)
	}
	return s, nil
}
