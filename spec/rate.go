// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// BitRate is in bits per second; 0: no limit.
type BitRate uint64

// OVS counts in kbit/s, so that is the least; more than 1 Tbit/s is a slip.
const minBitRate, maxBitRate = 1e3, 1e12

var bitRate = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([kmg]?)$`)

// ParseBitRate reads a number with the suffix k, M or G (1000, not 1024), or
// bits per second without one. The suffix is taken in either case: "docker run
// --network name=n,driver-opt=ovs.port.rate_in=10M" sends 10m (seen from Docker
// 20.10 to 28.5, whose CLI puts that argument into lower case).
func ParseBitRate(s string) (BitRate, error) {
	bad := fmt.Errorf("%q is not a rate: bits per second such as 500k, 10M or 1.5G, from 1k to 1000G", s)
	m := bitRate.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return 0, bad
	}
	v, err := strconv.ParseFloat(m[1], 64)
	v = math.Round(v * map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[m[2]])
	if err != nil || v < minBitRate || v > maxBitRate {
		return 0, bad
	}
	return BitRate(v), nil
}

// Kbps returns the rate in units of 1000 bits per second, as OVS counts.
func (r BitRate) Kbps() int { return int(r / 1000) }
