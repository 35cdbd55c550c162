// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"maps"
	"slices"
	"strings"

	"dovesnap/spec"
)

const (
	// preallocated is how many ports Faucet knows in advance unless the network
	// says otherwise.
	preallocated = 64
	// maxRange bounds the growth of a range: Faucet's start takes time for each
	// port of one.
	maxRange = 4096
)

// Memory is which ports Faucet has been told of, by datapath. A port that is free
// again stays: Faucet re-installs the flows of a whole VLAN when a port of it is
// added or deleted.
type Memory map[spec.DPID]Ports

// Ports are those of one datapath: the range 1 to Last, and single ones.
type Ports struct {
	Last   int
	Single []spec.OFPort // sorted; of endpoints, beyond the range
}

// Remember returns what a Config that was written earlier says.
func Remember(c Config) Memory {
	m := Memory{}
	for _, dp := range c.DPs {
		p := Ports{Last: dp.last()}
		for _, number := range slices.Sorted(maps.Keys(dp.Interfaces)) {
			if number <= spec.MaxOFPort && int(number) > p.Last && !strings.HasPrefix(dp.Interfaces[number].Description, physical) {
				p.Single = append(p.Single, number)
			}
		}
		m[spec.DPID(dp.ID)] = p
	}
	return m
}

// Cover returns the Memory that covers every endpoint of a State, without the
// networks that are gone.
func (m Memory) Cover(s spec.State) Memory {
	out := Memory{}
	for _, n := range s.Networks {
		p := m[n.DPID]
		p.Single = slices.Clone(p.Single)
		want := preallocated
		if n.Preallocate != nil {
			want = *n.Preallocate
		}
		p.Last = max(p.Last, want)
		for _, e := range s.EndpointsOf(n.ID) {
			p = p.cover(e.OFPort)
		}
		p.Single = slices.DeleteFunc(p.Single, func(port spec.OFPort) bool { return int(port) <= p.Last })
		out[n.DPID] = p
	}
	return out
}

// cover doubles the range when the ports have come to its end. A number far
// beyond it is one that somebody asked for, and stays alone.
func (p Ports) cover(port spec.OFPort) Ports {
	if next := min(2*p.Last, maxRange); int(port) > p.Last && int(port) <= next {
		p.Last = next
	}
	if i, known := slices.BinarySearch(p.Single, port); int(port) > p.Last && !known {
		p.Single = slices.Insert(p.Single, i, port)
	}
	return p
}
