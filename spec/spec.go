// SPDX-License-Identifier: Apache-2.0

// Package spec holds dovesnap's nouns: the networks and endpoints that should
// exist (the desired State), the values they are made of, and the only parser
// of what users write: `-o` options of `docker network create` and driver-opts
// of endpoints.
//
// Everything here is a value or a pure function; nothing touches the host.
// Appliers (ovs, link, nat) turn these values into rows, links and rules.
//
// Be aware:
//   - A Network or Endpoint is stored as JSON in OVSDB external_ids and read
//     back by later versions of dovesnap: fields are only ever added, and a
//     change of meaning needs a new Version.
//   - Docker sends a network's ID but never its name, and an endpoint's ID but
//     never its container's name or labels. Names are looked up later and are
//     for people only; nothing here is keyed by one.
package spec

import (
	"maps"
	"net/netip"
	"slices"
)

// Version is the version of the stored form of Network and Endpoint.
const Version = "1"

// NetworkID is Docker's network ID: 64 hexadecimal digits.
type NetworkID string

// EndpointID is Docker's endpoint ID: 64 hexadecimal digits. A container that
// is stopped and started again gets a new one.
type EndpointID string

// Short returns the first 12 digits, as `docker network ls` prints them.
func (id NetworkID) Short() string { return short(string(id)) }

// Short returns the first 12 digits.
func (id EndpointID) Short() string { return short(string(id)) }

func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// Network is one Docker network, realised as one OVS bridge (one OpenFlow
// datapath of Faucet's).
type Network struct {
	ID          NetworkID    `json:"id"`
	Bridge      string       `json:"bridge"` // OVS bridge and link name, at most 15 bytes
	Mode        Mode         `json:"mode"`
	DPID        DPID         `json:"dpid"`
	Controllers []Controller `json:"controllers,omitempty"` // none: a plain learning switch
	Userspace   bool         `json:"userspace,omitempty"`   // datapath_type netdev was asked for
	LocalMAC    MAC          `json:"local_mac,omitempty"`   // of the bridge's own port; empty: OVS chooses
	MTU         int          `json:"mtu,omitempty"`         // bytes; 0: 1500, the kernel's default
	VLAN        int          `json:"vlan,omitempty"`        // Faucet's native_vlan; informative while Faucet is the operator's
	Uplinks     []Uplink     `json:"uplinks,omitempty"`
	Subnets     []Subnet     `json:"subnets,omitempty"`
	Internal    bool         `json:"internal,omitempty"` // docker network create --internal
	// Name is Docker's, and Faucet's for the datapath; "" until Docker has told it,
	// which is after the network was made.
	Name string `json:"name,omitempty"`

	// AllowForward names the networks (by Name) that this one and they reach each
	// other with through the host; "all": all of ours, and Docker's own.
	AllowForward []string `json:"allow_forward,omitempty"`

	// What Faucet is to do, where dovesnap writes its configuration.
	DefaultACL  Expr      `json:"default_acl,omitempty"`  // of endpoints that name none
	NATACL      Expr      `json:"nat_acl,omitempty"`      // of the gateway's port
	VLANOutACL  Expr      `json:"vlan_out_acl,omitempty"` // of what leaves the VLAN
	Preallocate *int      `json:"preallocate,omitempty"`  // OF ports that Faucet knows in advance; nil: the default
	MACPrefix   MACPrefix `json:"mac_prefix,omitempty"`   // of the endpoints' MACs

	// MigrateUplinks lets one of the uplinks carry addresses and routes of the
	// host's: they move to the bridge's own link for as long as the network exists.
	MigrateUplinks bool `json:"migrate_uplinks,omitempty"`
}

// Subnet is one IPAM pool of a network with the gateway that Docker allotted.
type Subnet struct {
	Pool    netip.Prefix `json:"pool"`
	Gateway netip.Prefix `json:"gateway,omitzero"` // address and length; invalid when Docker gave none
}

// Uplink is an existing host interface that is put into the bridge
// (`ovs.bridge.add_ports`).
type Uplink struct {
	Name        string `json:"name"`
	OFPort      OFPort `json:"ofport,omitempty"`
	ACL         Expr   `json:"acl,omitempty"`
	VLAN        int    `json:"vlan,omitempty"`        // native VLAN; 0: the network's
	Coprocessor bool   `json:"coprocessor,omitempty"` // from add_copro_ports
}

// Endpoint is one container interface on a network.
type Endpoint struct {
	ID        EndpointID     `json:"id"`
	Network   NetworkID      `json:"network"`
	MAC       MAC            `json:"mac"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	OFPort    OFPort         `json:"ofport"`
	IfName    string         `json:"ifname,omitempty"` // wanted name inside the container (Docker 28+)
	// Boot is the kernel's boot id when the endpoint was made: no container
	// interface survives a reboot, and Docker does not report those that died
	// with the host.
	Boot string `json:"boot"`
	// Maker is the dockerd process that asked for the endpoint, if it is known: with it
	// ends the start of a container that is not in yet.
	Maker string `json:"maker,omitempty"`

	ACL     Expr    `json:"acl,omitempty"` // its own, from a driver-opt or a label
	VLAN    int     `json:"vlan,omitempty"`
	Trunks  []int   `json:"trunks,omitempty"`   // VLANs that it sends and gets with a tag
	RateIn  BitRate `json:"rate_in,omitempty"`  // of what the container receives
	RateOut BitRate `json:"rate_out,omitempty"` // of what the container sends

	MACPrefix MACPrefix `json:"mac_prefix,omitempty"` // its own; MAC has it already
	// Labelled reports that its container's labels are known, or do not matter.
	Labelled bool `json:"labelled,omitempty"`
	// Held reports that nothing may pass yet: its labels are not known, or Faucet
	// has not put its ACL in force.
	Held bool `json:"held,omitempty"`
	// Published are its ports that the host passes on, as they were chosen.
	Published []Published `json:"published,omitempty"`
	// PortMaps are those that its container asks for, of which this endpoint is to
	// publish what Docker says later, if it is the container's gateway.
	PortMaps []PortMap `json:"-"`
}

// Routed reports whether the host itself is the network's gateway (nat, routed).
func (n Network) Routed() bool { return n.Mode == NAT || n.Mode == Routed }

// Gateway returns the gateway of the family and subnet that addr is in; the
// zero Addr when there is none.
func (n Network) Gateway(addr netip.Addr) netip.Addr {
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() && s.Pool.Contains(addr) {
			return s.Gateway.Addr()
		}
	}
	return netip.Addr{}
}

// State is everything that should be true.
type State struct {
	Networks  map[NetworkID]Network
	Endpoints map[EndpointID]Endpoint
}

// NewState returns an empty State.
func NewState() State {
	return State{Networks: map[NetworkID]Network{}, Endpoints: map[EndpointID]Endpoint{}}
}

// Clone returns a copy whose maps are its own.
func (s State) Clone() State {
	return State{Networks: maps.Clone(s.Networks), Endpoints: maps.Clone(s.Endpoints)}
}

// EndpointsOf returns a network's endpoints in the order of their OF ports.
func (s State) EndpointsOf(id NetworkID) []Endpoint {
	var out []Endpoint
	for _, e := range s.Endpoints {
		if e.Network == id {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return int(a.OFPort) - int(b.OFPort) })
	return out
}

// SortedNetworks returns the networks in the order of their IDs, so that what
// is derived from them is the same text each time.
func (s State) SortedNetworks() []Network {
	out := slices.Collect(maps.Values(s.Networks))
	slices.SortFunc(out, func(a, b Network) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}
