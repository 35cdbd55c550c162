// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"net/netip"

	"dovesnap/link"
	"dovesnap/spec"
)

// Bridges applies networks to Open vSwitch.
type Bridges interface {
	EnsureBridge(ctx context.Context, n spec.Network, userspace bool) error
	EnsureControllers(ctx context.Context, n spec.Network, anew, wait bool) error
	DeleteBridge(context.Context, spec.NetworkID) error
	NoteNetwork(context.Context, spec.Network) error // stores what only dovesnap reads
}

// Ports applies endpoints to Open vSwitch.
type Ports interface {
	EnsurePort(context.Context, spec.Network, spec.Endpoint) (spec.OFPort, error)
	DeletePort(context.Context, spec.EndpointID) error
	NotePort(context.Context, spec.Endpoint) error
	Takes(context.Context, spec.Network, spec.OFPort) (int, error) // how many flows let in what comes in there
	Heard(context.Context, spec.Network) (map[spec.OFPort]bool, error)
	SweepQoS(context.Context) error // removes limits whose port is gone
	ForeignPorts(context.Context) (map[spec.NetworkID][]spec.ForeignPort, error)
}

// Switch is both, and remembers them.
type Switch interface {
	Bridges
	Ports
	Load(context.Context) (spec.State, error)
}

// Veths applies endpoints to the kernel's interfaces.
type Veths interface {
	EnsureVeth(ctx context.Context, n spec.Network, e spec.Endpoint, txOff bool) error
	Nudge(context.Context, spec.EndpointID) error // has Open vSwitch tell its controllers of the port again
	SetMAC(context.Context, spec.EndpointID, spec.MAC) (done bool, err error)
	Resolve(context.Context, spec.Network, spec.Endpoint) error // has the gateway ask for it
	DeleteVeth(context.Context, spec.EndpointID) error
	Endpoints(context.Context) ([]link.Found, error)
}

// Gateways applies networks to the host's own interfaces: the bridge's, and
// those that become its ports.
type Gateways interface {
	CheckNetwork(context.Context, spec.Network) error // the bridge's name is free, its uplinks may be used
	EnsureGateway(context.Context, spec.Network) (raised bool, err error)
	ReleaseNetwork(context.Context, spec.Network) error            // gives uplinks back as they were
	UplinkMAC(context.Context, spec.Network) (spec.MAC, error)     // that a bridge which stands in for an uplink must have
	ReturnUplinks(context.Context, spec.Network) error             // moves the host's addresses back, before the bridge goes
	SweepUplinks(context.Context, func(spec.NetworkID) bool) error // does for networks that are not known
}

// Links is both.
type Links interface {
	Veths
	Gateways
}

// Firewall applies networks to the host's packet filter.
type Firewall interface {
	Apply(context.Context, []spec.Network, []spec.Endpoint) error
	Publish(context.Context, spec.Network, spec.Endpoint) error // the endpoint's Published, and nothing else of it
	Unpublish(context.Context, spec.EndpointID) error
	Check(context.Context) (changed bool, err error)
	EnsureForwarding(context.Context, []spec.Network) error
	KnowDocker(bridges []string) (news bool) // news: Apply is needed
}

// HostPorts holds the host's ports that are published.
type HostPorts interface {
	Reserve(spec.EndpointID, []spec.PortMap, []netip.Prefix) ([]spec.Published, error)
	Hold(spec.EndpointID, []spec.Published) error // those of an earlier dovesnap
	Release(spec.EndpointID)
}

// Datapath says how a network's bridge is to be made: on OVS's userspace
// datapath, and with containers that compute their own checksums.
type Datapath func(context.Context, spec.Network) (userspace, txOff bool)
