// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"maps"
	"slices"

	"dovesnap/spec"
)

// policy is all of a port's configuration that its packets can tell: two ports
// with equal ones are treated alike.
type policy struct {
	vlan          VID
	trunks        string
	acls, aclsOut string
	coprocessor   bool
}

// port is one port of one switch; datapaths are told apart by their ids, their
// names being Faucet's.
type port struct {
	dp     spec.DPID
	number spec.OFPort
}

// policy returns what the interface is given, with the VLANs that are defined.
func (i Interface) policy(vlans map[int]VLAN) policy {
	p := policy{vlan: i.VLAN, trunks: fmt.Sprint(i.Trunks), acls: fmt.Sprint(i.ACLs), coprocessor: i.Coprocessor != nil}
	for _, vid := range append([]int{int(i.VLAN)}, i.Trunks...) {
		if v, ok := vlans[vid]; ok {
			p.aclsOut += fmt.Sprint(vid, v.ACLsOut)
		}
	}
	return p
}

// policies is what each port may be given; a port that is not there gets nothing.
type policies map[port][]policy

// policies returns those of a Config.
func (c Config) policies() policies {
	out := policies{}
	for _, dp := range c.DPs {
		for _, i := range dp.Ranges {
			p := []policy{i.policy(c.VLANs)}
			for number := range dp.last() {
				out[port{spec.DPID(dp.ID), spec.OFPort(number + 1)}] = p
			}
		}
		for number, i := range dp.Interfaces {
			out[port{spec.DPID(dp.ID), number}] = []policy{i.policy(c.VLANs)}
		}
	}
	return out
}

// with returns both.
func (p policies) with(q policies) policies {
	out := maps.Clone(p)
	for port, list := range q {
		for _, one := range list {
			if !slices.Contains(out[port], one) {
				out[port] = append(slices.Clip(out[port]), one)
			}
		}
	}
	return out
}

// without returns the policies of p that q doesn't have.
func (p policies) without(q policies) policies {
	out := policies{}
	for port, list := range p {
		for _, one := range list {
			if !slices.Contains(q[port], one) {
				out[port] = append(out[port], one)
			}
		}
	}
	return out
}
