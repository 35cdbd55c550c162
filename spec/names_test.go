// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"strings"
	"testing"

	"dovesnap/spec"
)

const endpointID = spec.EndpointID("fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210")

func TestLinkNames(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		ours       bool
	}{
		{spec.BridgeName(netID), "dsb0123456789ab", false},
		{spec.HostLink(endpointID), "dsvfedcba987654", true},
		{spec.ContainerLink(endpointID), "dscfedcba987654", true},
	} {
		if tt.name != tt.want {
			t.Errorf("got %s, want %s", tt.name, tt.want)
		}
		if err := spec.CheckLinkName(tt.name); err != nil {
			t.Error(err)
		}
		if spec.IsOurLink(tt.name) != tt.ours {
			t.Errorf("IsOurLink(%s) is not %t", tt.name, tt.ours)
		}
	}
	for _, name := range []string{"", "dsv", "dsv0123456789a", "dsv0123456789abc", "dsvg123456789ab", "eth0", "veth0123456789a"} {
		if spec.IsOurLink(name) {
			t.Errorf("IsOurLink(%q)", name)
		}
	}
}

func TestAliasRoundTrip(t *testing.T) {
	in := spec.Alias{Network: netID, Endpoint: endpointID, OFPort: spec.MaxOFPort}
	text := in.String()
	if len(text) > 255 {
		t.Errorf("%d bytes are too many for the kernel", len(text))
	}
	if out, ok := spec.ParseAlias(text); !ok || out != in {
		t.Errorf("%q: got %+v, %t", text, out, ok)
	}
	// A later version may say more.
	if out, ok := spec.ParseAlias(text + " colour=blue"); !ok || out != in {
		t.Errorf("with a field of a later version: got %+v, %t", out, ok)
	}
	for _, foreign := range []string{"", "uplink to rack 4", "dovesnap", "dovesnap network=a", "dovesnapper network=a endpoint=b", "x dovesnap network=a endpoint=b"} {
		if _, ok := spec.ParseAlias(foreign); ok {
			t.Errorf("%q is taken for ours", foreign)
		}
	}
}

func TestDerivedDPID(t *testing.T) {
	for _, tt := range []struct{ id, want string }{
		{string(netID), "d5000123456789ab"},
		{strings.Repeat("0", 64), "d500000000000000"},
		{strings.Repeat("f", 64), "d500ffffffffffff"},
	} {
		if got := spec.DerivedDPID(spec.NetworkID(tt.id)).Hex16(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.id, got, tt.want)
		}
	}
	a, b := spec.DerivedDPID("not hexadecimal"), spec.DerivedDPID("not hexadecimal either")
	if a == b || a>>56 != 0xd5 || b>>56 != 0xd5 {
		t.Errorf("of odd IDs: %s, %s", a, b)
	}
}

func TestEndpointMAC(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("172.12.0.8/24"), netip.MustParsePrefix("fd00::8/64")
	for _, addresses := range [][]netip.Prefix{{v4}, {v6, v4}} {
		if got := spec.EndpointMAC(endpointID, addresses, ""); got != "02:42:ac:0c:00:08" {
			t.Errorf("%v: got %s", addresses, got)
		}
	}
	if got := spec.EndpointMAC(endpointID, []netip.Prefix{v4}, "0e:99:01"); got != "0e:99:01:0c:00:08" {
		t.Errorf("with a prefix: got %s", got)
	}
	if plain, got := spec.EndpointMAC(endpointID, nil, ""), spec.EndpointMAC(endpointID, nil, "0e"); got != "0e"+plain[2:] {
		t.Errorf("with a prefix and no address: got %s, want that of %s", got, plain)
	}
	got := spec.EndpointMAC(endpointID, []netip.Prefix{v6}, "")
	if again := spec.EndpointMAC(endpointID, nil, ""); again != got {
		t.Errorf("not stable: %s, %s", got, again)
	}
	if other := spec.EndpointMAC("another", nil, ""); other == got {
		t.Errorf("two endpoints share %s", got)
	}
	if _, err := spec.ParseMAC(string(got)); err != nil || !strings.HasPrefix(string(got), "02:") {
		t.Errorf("%s is not locally administered and unicast: %v", got, err)
	}
}

func TestShortOfShortIDs(t *testing.T) {
	if got := spec.NetworkID("abc").Short(); got != "abc" {
		t.Errorf("got %s", got)
	}
}
