// SPDX-License-Identifier: Apache-2.0

package spec

import "fmt"

// Admit refuses a network that clashes with one in the State, naming the other
// party by name(id). A network does not clash with itself: Docker repeats a call
// that was cut off.
func (s State) Admit(n Network, name func(NetworkID) string) error {
	var errs []error
	for _, other := range s.SortedNetworks() {
		if other.ID == n.ID {
			continue
		}
		party := fmt.Sprintf("network %q", name(other.ID))
		if other.DPID == n.DPID {
			errs = append(errs, fmt.Errorf("option ovs.bridge.dpid: %s is the datapath id of %s", n.DPID, party))
		}
		if other.Bridge == n.Bridge {
			errs = append(errs, fmt.Errorf("option ovs.bridge.name: %q is the bridge of %s", n.Bridge, party))
		}
		for _, u := range n.Uplinks {
			if u.Name == other.Bridge {
				errs = append(errs, fmt.Errorf("option %s: %s is the bridge of %s", u.option(), u.Name, party))
			}
		}
		for _, v := range other.Uplinks {
			if v.Name == n.Bridge {
				errs = append(errs, fmt.Errorf("option ovs.bridge.name: %q is in %s of %s", n.Bridge, v.option(), party))
			}
			for _, u := range n.Uplinks {
				if u.Name == v.Name {
					errs = append(errs, fmt.Errorf("option %s: %s is in %s", u.option(), u.Name, party))
				}
			}
		}
		if n.VLAN == other.VLAN && n.VLANOutACL != "" && other.VLANOutACL != "" && n.VLANOutACL != other.VLANOutACL {
			// Faucet has one for a VLAN, whatever the datapath.
			errs = append(errs, fmt.Errorf("option ovs.bridge.vlan_out_acl: that of VLAN %d is %q by %s", n.VLAN, other.VLANOutACL, party))
		}
		if n.Routed() && other.Routed() {
			errs = append(errs, n.overlap(other, party))
		}
	}
	return oneLine(errs)
}

// overlap refuses subnets that the host could not tell apart; flat networks may
// overlap with anything, since the host has no route to them.
func (n Network) overlap(other Network, party string) error {
	for _, a := range n.Subnets {
		for _, b := range other.Subnets {
			if a.Pool.Overlaps(b.Pool) {
				return fmt.Errorf("subnet %s overlaps %s of %s", a.Pool, b.Pool, party)
			}
		}
	}
	return nil
}

// among bounds how many free OF ports are asked for one that suits.
const among = 256

// FreeOFPort returns the lowest OF port of the network that no endpoint and no
// uplink asks for, if possible one of the lowest that suits; false when all are used.
func (s State) FreeOFPort(id NetworkID, suits func(OFPort) bool) (OFPort, bool) {
	used := s.usedOFPorts(id)
	lowest := OFPort(0)
	for p := OFPort(1); p <= MaxOFPort; p++ {
		switch {
		case used[p] != "":
		case suits == nil || suits(p):
			return p, true
		case lowest == 0:
			lowest = p
		case p >= lowest+among:
			return lowest, true
		}
	}
	return lowest, lowest != 0
}

// ClaimOFPort refuses an OF port that an endpoint or an uplink of the network has,
// naming it.
func (s State) ClaimOFPort(id NetworkID, p OFPort) error {
	if holder := s.usedOFPorts(id)[p]; holder != "" {
		return fmt.Errorf("driver-opt %s: OpenFlow port %d belongs to %s", ofportKey, p, holder)
	}
	return nil
}

// usedOFPorts returns who has which OF port of a network.
func (s State) usedOFPorts(id NetworkID) map[OFPort]string {
	used := map[OFPort]string{}
	for _, e := range s.Endpoints {
		if e.Network == id {
			used[e.OFPort] = fmt.Sprintf("endpoint %q", e.ID.Short())
		}
	}
	for _, u := range s.Networks[id].Uplinks {
		used[u.OFPort] = fmt.Sprintf("interface %q", u.Name)
	}
	return used
}
