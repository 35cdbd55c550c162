// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MACPrefix is the beginning of a MAC address: one to five bytes as "0e:99".
type MACPrefix string

// ParseMACPrefix reads one to five bytes of two hexadecimal digits, with colons
// or without.
func ParseMACPrefix(s string) (MACPrefix, error) {
	digits := strings.ReplaceAll(strings.ToLower(s), ":", "")
	first, err := strconv.ParseUint(digits[:min(2, len(digits))], 16, 8)
	if err == nil {
		_, err = strconv.ParseUint(digits, 16, 64)
	}
	if err != nil || len(digits)%2 != 0 || len(digits) > 10 {
		return "", fmt.Errorf("%q is not the beginning of a MAC address: one to five bytes such as 0e:99", s)
	}
	if first&1 != 0 {
		return "", fmt.Errorf("%q begins a multicast address", s)
	}
	var bytes []string
	for i := 0; i < len(digits); i += 2 {
		bytes = append(bytes, digits[i:i+2])
	}
	return MACPrefix(strings.Join(bytes, ":")), nil
}

// On returns a MAC address with this beginning.
func (p MACPrefix) On(m MAC) MAC {
	if p == "" || len(m) <= len(p) {
		return m
	}
	return MAC(string(p) + string(m)[len(p):])
}

// BitRate is in bits per second; 0: no limit.
type BitRate uint64

// maxBitRate is 1 Tbit/s: more is a slip.
const maxBitRate = 1e12

// ParseBitRate reads a number with the suffix k, M or G (1000, not 1024), or
// bits per second without one. OVS counts in kbit/s, so that is the least.
func ParseBitRate(s string) (BitRate, error) {
	number, factor := s, 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			number, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if rate := v * factor; err == nil && rate >= 1000 && rate <= maxBitRate && strings.Trim(number, "0123456789.") == "" {
		return BitRate(rate), nil
	}
	return 0, fmt.Errorf("%q is not a rate: bits per second such as 500k, 10M or 1.5G, at least 1k", s)
}

// Kbps returns the rate in units of 1000 bits per second, as OVS counts.
func (r BitRate) Kbps() int { return int(r / 1000) }

// ParseVLAN reads 1 to 4094.
func ParseVLAN(s string) (int, error) { return between(s, 1, 4094) }

// ParseVLANs reads VLANs and ranges of them, "10,20,30-39", into a sorted list
// without duplicates.
func ParseVLANs(s string) ([]int, error) {
	var out []int
	for _, item := range strings.Split(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(item), "-")
		first, err := ParseVLAN(low)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = ParseVLAN(high); err != nil {
				return nil, err
			}
		}
		if last < first {
			return nil, fmt.Errorf("%q ends before it begins", item)
		}
		for v := first; v <= last; v++ {
			if slices.Contains(out, v) {
				return nil, fmt.Errorf("VLAN %d is listed twice", v)
			}
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// CheckPort refuses what an endpoint asks of a network that cannot give it.
// managed reports that dovesnap writes Faucet's configuration.
func CheckPort(n Network, e Endpoint, managed bool) error {
	var errs []error
	refuse := func(option, why string) { errs = append(errs, fmt.Errorf("driver-opt %s: %s", option, why)) }
	faucets := len(n.Controllers) > 0
	for option, given := range map[string]bool{aclKey: e.ACL != "", vlanKey: e.VLAN != 0, trunksKey: e.Trunks != nil} {
		switch {
		case !given:
		case faucets && !managed:
			refuse(option, offReason)
		case !faucets && option == aclKey:
			refuse(option, "the network has no controller that would apply it")
		}
	}
	if slices.Contains(e.Trunks, n.PortVLAN(e)) {
		refuse(trunksKey, fmt.Sprintf("VLAN %d is untagged on this port", n.PortVLAN(e)))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return oneLine(errs)
}

// offReason is why an option of Faucet's is refused with faucet.mode off.
const offReason = "faucet.mode is off, so that faucet.yaml is yours: say it there, or set faucet.mode to file or rpc"

// PortVLAN returns the VLAN of the frames that an endpoint sends without a tag.
func (n Network) PortVLAN(e Endpoint) int {
	if e.VLAN != 0 {
		return e.VLAN
	}
	return n.VLAN
}

// ForeignPort is a port that somebody else put on a bridge of ours.
type ForeignPort struct {
	Name   string
	OFPort OFPort
}
