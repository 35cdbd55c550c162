// SPDX-License-Identifier: Apache-2.0

package spec

// Keys of container labels and endpoint driver-opts.
const (
	labelPrefix  = "dovesnap.faucet."
	portPrefix   = "ovs.port."
	aclKey       = labelPrefix + "portacl"
	macPrefixKey = labelPrefix + "mac_prefix"
	mirrorKey    = labelPrefix + "mirror"
	vlanKey      = portPrefix + "vlan"
	ofportKey    = portPrefix + "ofport"
	trunksKey    = portPrefix + "trunks"
	rateInKey    = portPrefix + "rate_in"
	rateOutKey   = portPrefix + "rate_out"
)

// The ways in which a container can say something.
const (
	label     = "label"
	driverOpt = "driver-opt"
)

// PortKey is one row of the table of what a container can ask for: it parses, and
// it writes docs/options.md. Every key is an endpoint driver-opt, which arrives
// with the endpoint and wins; a label is read from Docker afterwards.
type PortKey struct {
	Name    string
	Label   bool // it can be a label of the container too
	Syntax  string
	Help    string
	Example string // a value
	Faucet  string // where it can be had; see the constants beside Option
	Later   bool   // known, parsed later; until then refused rather than ignored
	set     func(*Endpoint, string) error
}

// PortKeys is the table, in the order of the documentation.
var PortKeys = []PortKey{
	{Name: aclKey, Label: true, Syntax: exprSyntax, Faucet: managed, Example: "guests",
		set:  func(e *Endpoint, v string) (err error) { e.ACL, err = ParseExpr(v); return },
		Help: "Faucet's ACLs of the container's port, instead of the network's `default_acl`. Nothing passes before they are in force."},
	{Name: macPrefixKey, Label: true, Syntax: macPrefixSyntax, Faucet: anyMode, Example: "0e:99",
		set:  func(e *Endpoint, v string) (err error) { e.MACPrefix, err = ParseMACPrefix(v); return },
		Help: "How the container's MAC address begins. `docker inspect` shows the address of a driver-opt (and of the option `ovs.bridge.mac_prefix`), not that of a label."},
	{Name: vlanKey, Syntax: vlanSyntax, Faucet: managedOrAlone, Example: "20",
		set:  func(e *Endpoint, v string) (err error) { e.VLAN, err = ParseVLAN(v); return },
		Help: "The VLAN of the frames that the container sends and gets without a tag, instead of the network's."},
	{Name: trunksKey, Syntax: "comma-separated list of VLANs and ranges", Faucet: managedOrAlone, Example: "10,20,30-39",
		set:  func(e *Endpoint, v string) (err error) { e.Trunks, err = ParseVLANs(v); return },
		Help: "The VLANs whose frames the container sends and gets with a tag."},
	{Name: ofportKey, Syntax: "1 to 65279", Faucet: anyMode, Example: "40",
		set:  func(e *Endpoint, v string) (err error) { e.OFPort, err = ParseOFPort(v); return },
		Help: "The OpenFlow port number, else one that is free. Refused while another has it."},
	{Name: rateInKey, Syntax: rateSyntax, Faucet: anyMode, Example: "10M",
		set:  func(e *Endpoint, v string) (err error) { e.RateIn, err = ParseBitRate(v); return },
		Help: "The most that the container receives."},
	{Name: rateOutKey, Syntax: rateSyntax, Faucet: anyMode, Example: "1.5M",
		set:  func(e *Endpoint, v string) (err error) { e.RateOut, err = ParseBitRate(v); return },
		Help: "The most that the container sends. Refused on the userspace datapath."},
	{Name: mirrorKey, Label: true, Syntax: "`true` or `false`, or `NETWORK:true`, several of these joined by `/`", Later: true,
		Help: "A copy of what the container sends and gets, for a sniffer."},
}
