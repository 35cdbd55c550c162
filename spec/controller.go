// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Controller is an OpenFlow connection target as ovs-vswitchd.conf.db(5) names
// them: tcp:IP[:PORT], ssl:IP[:PORT], unix:FILE, ptcp:[PORT][:IP],
// pssl:[PORT][:IP].
type Controller string

var hostname = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

// ParseControllers reads a comma-separated list without duplicates.
func ParseControllers(s string) ([]Controller, error) {
	var out []Controller
	seen := map[string]bool{}
	for _, item := range strings.Split(s, ",") {
		item = strings.TrimSpace(item)
		if err := checkController(item); err != nil {
			return nil, err
		}
		if seen[item] {
			return nil, fmt.Errorf("%q is listed twice", item)
		}
		seen[item] = true
		out = append(out, Controller(item))
	}
	return out, nil
}

func checkController(s string) error {
	kind, rest, ok := strings.Cut(s, ":")
	var err error
	switch {
	case !ok:
		err = fmt.Errorf("no %q", ":")
	case kind == "tcp" || kind == "ssl":
		err = checkActive(rest)
	case kind == "ptcp" || kind == "pssl":
		err = checkPassive(rest)
	case kind == "unix":
		if !path.IsAbs(rest) || strings.ContainsAny(rest, " ,\"") || strings.ContainsFunc(rest, unicode.IsControl) {
			err = fmt.Errorf("%q is not an absolute path", rest)
		}
	default:
		err = fmt.Errorf("unknown method %q", kind)
	}
	if err != nil {
		return fmt.Errorf("%q is not a controller (tcp:IP[:PORT], ssl:IP[:PORT], unix:FILE, ptcp:[PORT][:IP] or pssl:[PORT][:IP]): %v", s, err)
	}
	return nil
}

// checkActive reads HOST or HOST:PORT, IPv6 addresses in brackets.
func checkActive(s string) error {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.Index(s, "]")
		if end < 0 {
			return fmt.Errorf("no closing bracket")
		}
		host, port = s[1:end], strings.TrimPrefix(s[end+1:], ":")
		if s[end+1:] != "" && !strings.HasPrefix(s[end+1:], ":") {
			return fmt.Errorf("%q after the address", s[end+1:])
		}
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
	} else {
		if h, p, err := net.SplitHostPort(s); err == nil {
			host, port = h, p
		}
		if _, err := netip.ParseAddr(host); err != nil && (!hostname.MatchString(host) || looksNumeric(host)) {
			return fmt.Errorf("%q is not an address", host)
		}
		if strings.Count(s, ":") > 1 {
			return fmt.Errorf("an IPv6 address needs brackets")
		}
	}
	if strings.HasSuffix(s, ":") {
		return fmt.Errorf("no port after %q", ":")
	}
	return checkPort(port)
}

// looksNumeric tells a mistyped IPv4 address from a host name.
func looksNumeric(s string) bool { return strings.Trim(s, "0123456789.") == "" }

// checkPassive reads [PORT][:IP].
func checkPassive(s string) error {
	port, host, hasHost := strings.Cut(s, ":")
	if err := checkPort(port); err != nil {
		return err
	}
	if !hasHost {
		return nil
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
	}
	a, err := netip.ParseAddr(inner)
	if err != nil {
		return fmt.Errorf("%q is not an address", host)
	}
	if a.Is6() != bracketed {
		return fmt.Errorf("an IPv6 address needs brackets, an IPv4 address none")
	}
	return nil
}

func checkPort(s string) error {
	if s == "" {
		return nil
	}
	if v, err := strconv.ParseUint(s, 10, 16); err != nil || v == 0 {
		return fmt.Errorf("%q is not a port: 1 to 65535", s)
	}
	return nil
}
