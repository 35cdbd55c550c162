// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MACPrefix is the beginning of a MAC address: one to five bytes as "0e:99".
type MACPrefix string

var macPrefix = regexp.MustCompile(`^[0-9a-f]{2}(:?[0-9a-f]{2}){0,4}$`)

// ParseMACPrefix reads one to five bytes of two hexadecimal digits, with colons
// or without.
func ParseMACPrefix(s string) (MACPrefix, error) {
	text := strings.ToLower(s)
	if !macPrefix.MatchString(text) {
		return "", fmt.Errorf("%q is not the beginning of a MAC address: one to five bytes such as 0e:99", s)
	}
	digits := strings.ReplaceAll(text, ":", "")
	if first, err := strconv.ParseUint(digits[:2], 16, 8); err != nil || first&1 != 0 {
		return "", fmt.Errorf("%q begins a multicast address; an even first byte such as 0e does not", s)
	}
	if len(digits) > 4 && strings.Trim(digits, "0") == "" {
		return "", fmt.Errorf("%q may make a MAC address of nothing but zeros", s)
	}
	bytes := make([]string, 0, 5)
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
