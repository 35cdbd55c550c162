// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Links carry 48 bits of an ID after a three-letter prefix: 15 bytes, the most
// that Linux allows (IFNAMSIZ-1). At 1,000 endpoints a collision has odds of
// about 1 in 500 million, and creating a link whose name is taken is refused.
const (
	bridgePrefix    = "dsb"
	hostPrefix      = "dsv"
	containerPrefix = "dsc"
)

// BridgeName returns the bridge's name when the user chose none.
func BridgeName(id NetworkID) string { return bridgePrefix + id.Short() }

// HostLink returns the name of the endpoint's veth end that is in the bridge.
func HostLink(id EndpointID) string { return hostPrefix + id.Short() }

// ContainerLink returns the name of the endpoint's other veth end, until Docker
// moves it into the container and renames it.
func ContainerLink(id EndpointID) string { return containerPrefix + id.Short() }

// IsOurLink reports whether a link's name has the form that HostLink and
// ContainerLink give. The alias decides ownership; the name only narrows the
// search.
func IsOurLink(name string) bool {
	if len(name) != 15 || (name[:3] != hostPrefix && name[:3] != containerPrefix) {
		return false
	}
	_, err := hex.DecodeString(name[3:])
	return err == nil
}

// aliasMark begins the alias (IFLA_IFALIAS) of every link that dovesnap makes.
const aliasMark = "dovesnap"

// Alias is what a link's alias says: whose it is and, should OVSDB be lost, the
// OF port that Faucet's rules know the endpoint by.
type Alias struct {
	Network  NetworkID
	Endpoint EndpointID
	OFPort   OFPort
}

// String returns the text of the alias, under the kernel's limit of 255 bytes.
func (a Alias) String() string {
	return fmt.Sprintf("%s network=%s endpoint=%s ofport=%d", aliasMark, a.Network, a.Endpoint, a.OFPort)
}

// ParseAlias reads an alias back; false when the link isn't one of ours.
func ParseAlias(s string) (Alias, bool) {
	fields := strings.Fields(s)
	if len(fields) == 0 || fields[0] != aliasMark {
		return Alias{}, false
	}
	var a Alias
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "network":
			a.Network = NetworkID(value)
		case "endpoint":
			a.Endpoint = EndpointID(value)
		case "ofport":
			if v, err := strconv.ParseUint(value, 10, 32); err == nil {
				a.OFPort = OFPort(v)
			}
		}
	}
	return a, a.Network != "" && a.Endpoint != ""
}

// DerivedDPID returns the datapath id of a network whose user gave none: the
// first 12 digits of its ID under a fixed top byte, so that it is never 0, can
// be read off `docker network ls`, and stays out of the range of those that
// people number by hand.
func DerivedDPID(id NetworkID) DPID {
	v, err := strconv.ParseUint(id.Short(), 16, 64)
	if err != nil {
		sum := sha256.Sum256([]byte(id))
		v, _ = strconv.ParseUint(hex.EncodeToString(sum[:6]), 16, 64)
	}
	return DPID(0xd5<<56 | v&0xffffffffffff)
}

// EndpointMAC returns the MAC of an endpoint when the user gave none: 02:42 and
// the IPv4 address, as Docker's bridge had it for years. An address that passes
// to another container then keeps its MAC, so that no neighbour's ARP entry is
// stale. Without an IPv4 address it is derived from the endpoint's ID. A prefix
// takes the place of its first bytes.
func EndpointMAC(e EndpointID, addresses []netip.Prefix, prefix MACPrefix) MAC {
	hw := net.HardwareAddr{0x02, 0x42, 0, 0, 0, 0}
	for _, p := range addresses {
		if p.Addr().Is4() {
			a := p.Addr().As4()
			copy(hw[2:], a[:])
			return prefix.On(MAC(hw.String()))
		}
	}
	sum := sha256.Sum256([]byte(e))
	copy(hw[1:], sum[:5])
	return prefix.On(MAC(hw.String()))
}
