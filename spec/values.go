// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Mode says what connects a network to the outside.
type Mode string

// The modes of ovs.bridge.mode.
const (
	Flat   Mode = "flat"   // a bridge, nothing more; a router on that LAN is the gateway
	NAT    Mode = "nat"    // the host is the gateway and masquerades
	Routed Mode = "routed" // the host is the gateway and routes without NAT
)

// ParseMode reads flat, nat or routed.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Flat, NAT, Routed:
		return m, nil
	}
	return "", fmt.Errorf("%q is not flat, nat or routed", s)
}

// DPID is an OpenFlow datapath id, 1 to 2^64-1.
type DPID uint64

// ParseDPID reads 0x followed by 1 to 16 hexadecimal digits, or a decimal
// number without leading zeros.
func ParseDPID(s string) (DPID, error) {
	base, digits := 10, s
	if rest, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		base, digits = 16, rest
	} else if len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is ambiguous: write 0x before hexadecimal digits, and no leading zero before decimal ones", s)
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("%q is not a datapath id: 0x1 to 0xffffffffffffffff, or decimal", s)
	}
	return DPID(v), nil
}

// String returns the form Faucet's configuration uses: 0x1.
func (d DPID) String() string { return "0x" + strconv.FormatUint(uint64(d), 16) }

// Hex16 returns the form of Bridge other_config:datapath-id: exactly 16
// hexadecimal digits (ovs-vswitchd.conf.db(5)).
func (d DPID) Hex16() string { return fmt.Sprintf("%016x", uint64(d)) }

// OFPort is an OpenFlow port number. 0 stands for "not chosen yet".
type OFPort uint32

// MaxOFPort is the largest number that ofport_request takes
// (ovs-vswitchd.conf.db(5)).
const MaxOFPort OFPort = 65279

// ParseOFPort reads 1 to 65279.
func ParseOFPort(s string) (OFPort, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v == 0 || OFPort(v) > MaxOFPort {
		return 0, fmt.Errorf("%q is not an OpenFlow port number: 1 to %d", s, MaxOFPort)
	}
	return OFPort(v), nil
}

// MAC is a unicast Ethernet address in lower case with colons.
type MAC string

// ParseMAC reads a unicast, non-zero Ethernet address.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("%q is not a MAC address such as 0e:00:00:00:00:01", s)
	}
	if hw[0]&1 != 0 || hw.String() == "00:00:00:00:00:00" {
		return "", fmt.Errorf("%q is not a unicast MAC address", s)
	}
	return MAC(hw.String()), nil
}

var (
	linkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$`)
	reserved = map[string]bool{"lo": true, "all": true, "default": true, "docker0": true, "docker_gwbridge": true, "ovs-system": true, "ovs-netdev": true, "ovs-dummy": true}
)

// CheckLinkName refuses what the kernel, OVS or iptables would take amiss: OVSDB
// accepts any name and leaves a row that never works, and iptables reads a
// trailing + as a wildcard.
func CheckLinkName(s string) error {
	if !linkName.MatchString(s) {
		return fmt.Errorf("%q is not an interface name: at most 15 of a-z, A-Z, 0-9, '_', '.', '-', beginning with a letter or digit", s)
	}
	if reserved[s] {
		return fmt.Errorf("%q is reserved", s)
	}
	return nil
}
