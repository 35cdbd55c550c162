// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A host that forwards ignores router advertisements on interfaces whose accept_ra
// is 1, and so loses its own IPv6 default route, at once or when its lifetime ends;
// with 2 it does not (Documentation/networking/ip-sysctl.rst). So we set it, and
// have the guard say so: a rule that matches a link and does nothing. When the guard
// goes, it is set back.

const acceptRAMark = `"dovesnap:accept_ra=1"`

func acceptRA(link string) string { return filepath.Join(ipv6Conf, link, "accept_ra") }

// acceptRARules says of which links we changed accept_ra.
func acceptRARules(links []string) (rules []string) {
	for _, link := range links {
		rules = append(rules, fmt.Sprintf("-i %s -m comment --comment %s", link, acceptRAMark))
	}
	return rules
}

// acceptRA returns the links of which a guard says that we changed accept_ra.
func (s saved) acceptRA() (links []string) {
	for _, rule := range s["filter"][guardChain] {
		if f := strings.Fields(rule); len(f) > 2 && f[0] == "-i" && f[len(f)-1] == acceptRAMark {
			links = append(links, f[1])
		}
	}
	return links
}

// changeAcceptRA changes what is as we know it; another value is somebody else's.
func changeAcceptRA(links []string, from, to string) error {
	var errs []error
	for _, link := range links {
		if readValue(acceptRA(link)) != from {
			continue
		}
		if err := setSysctl(acceptRA(link), to); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return joined(errs...)
}

// findLearners returns the links whose default route would go if the host forwarded.
func findLearners() ([]string, error) {
	text, err := os.ReadFile(ipv6Routes)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(advertised(string(text)), func(link string) bool { return readValue(acceptRA(link)) != "1" }), nil
}

// advertised returns the interfaces with a default route that the kernel learnt
// from a router advertisement, from the text of ipv6_route: destination, length,
// source, length, next hop, metric, two counters, flags, interface.
func advertised(routes string) []string {
	const learnt = 0x00010000 | 0x00040000 // RTF_DEFAULT | RTF_ADDRCONF, linux/ipv6_route.h
	var links []string
	for _, line := range strings.Split(routes, "\n") {
		f := strings.Fields(line)
		if len(f) != 10 || f[1] != "00" {
			continue
		}
		flags, err := strconv.ParseUint(f[8], 16, 32)
		if err == nil && flags&learnt == learnt && !slices.Contains(links, f[9]) {
			links = append(links, f[9])
		}
	}
	return links
}

// union returns what is in either, sorted.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}
