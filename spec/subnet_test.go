// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestParseSubnet(t *testing.T) {
	for _, tt := range []struct {
		pool, gateway string
		want          spec.Subnet
		err           string
	}{
		{"172.12.0.0/24", "172.12.0.1/24", subnet("172.12.0.0/24", "172.12.0.1/24"), ""},
		{"172.12.0.9/24", "172.12.0.1", subnet("172.12.0.0/24", "172.12.0.1/24"), ""}, // as docker network inspect shows it
		{"fd00::/64", "fd00::1", subnet("fd00::/64", "fd00::1/64"), ""},
		{"172.12.0.0/24", "", spec.Subnet{Pool: netip.MustParsePrefix("172.12.0.0/24")}, ""},
		{"172.12.0.0", "", spec.Subnet{}, `subnet "172.12.0.0" is not an address and length`},
		{"172.12.0.0/24", "x", spec.Subnet{}, `gateway "x" of subnet 172.12.0.0/24 is not an address`},
		{"172.12.0.0/24", "172.13.0.1/24", spec.Subnet{}, "gateway 172.13.0.1 is not in subnet 172.12.0.0/24"},
	} {
		got, err := spec.ParseSubnet(tt.pool, tt.gateway)
		if got != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s, %s: got %+v, %v", tt.pool, tt.gateway, got, err)
		}
	}
}
