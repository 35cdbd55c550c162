// SPDX-License-Identifier: Apache-2.0

package spec

// Option is one row of the table of network options: it parses, and it writes
// docs/options.md.
type Option struct {
	Name    string
	Syntax  string
	Default string
	Help    string
	Example string // its value, and the options that it needs beside it
	Faucet  string // where it can be had
	Later   bool   // known, parsed later; until then refused rather than ignored
	set     func(*Network, string) error
}

// Where an option, label or driver-opt can be had: the values of the
// configuration key faucet.mode under which dovesnap configures Faucet, or a
// network that has no controller and so no Faucet.
const (
	anyMode        = "any"
	managed        = "`file`, `rpc`"
	managedOrAlone = managed + ", or no controller"
)

const (
	exprSyntax      = "`ACL[,ACL…]` or `NETWORK:ACL[,ACL…]`, several of these joined by `/`"
	macPrefixSyntax = "one to five bytes, `0e:99`"
	vlanSyntax      = "1 to 4094"
	rateSyntax      = "bits per second, with `k`, `M` or `G`"
	controllerForm  = "comma-separated list of `tcp:IP[:PORT]`, `ssl:IP[:PORT]`, `unix:FILE`, `ptcp:[PORT][:IP]`, `pssl:[PORT][:IP]`"

	withFaucet = " -o ovs.bridge.controller=tcp:127.0.0.1:6653"
)

// Options is the table, in the order of the documentation.
var Options = []Option{
	{Name: "ovs.bridge.mode", Syntax: "`flat`, `nat` or `routed`", Default: "`flat`", set: setMode, Faucet: anyMode,
		Example: "nat",
		Help:    "What connects the network to the outside. `flat`: nothing but the ports you add; the gateway is a router on that LAN, named by `--gateway` (Docker before 28 invents one if you don't). `nat`: the host is the gateway and masquerades what leaves the network. `routed`: the host is the gateway and routes without NAT."},
	{Name: "ovs.bridge.controller", Syntax: controllerForm, Default: "the daemon's `controllers`; else none", set: setControllers, Faucet: anyMode,
		Example: "tcp:127.0.0.1:6653,tcp:127.0.0.1:6654",
		Help:    "The OpenFlow controllers. With one, the bridge forwards nothing that a controller did not allow (`fail_mode=secure`). Without one it is a plain learning switch."},
	{Name: "ovs.bridge.dpid", Syntax: "`0x` and hexadecimal digits, or decimal", Default: "derived from the network's ID", set: setDPID, Faucet: anyMode,
		Example: "0x1",
		Help:    "The datapath id, Faucet's `dp_id`. Two networks cannot share one. `dovesnap status` shows it."},
	{Name: "ovs.bridge.name", Syntax: "interface name of at most 15 characters", Default: "`dsb` and the first 12 digits of the network's ID", set: setName, Faucet: anyMode,
		Example: "br-lab",
		Help:    "The name of the OVS bridge and of its own link on the host."},
	{Name: "ovs.bridge.mtu", Syntax: "68 to 65535", Default: "1500", set: setMTU, Faucet: anyMode,
		Example: "9000",
		Help:    "The MTU in bytes of the bridge's own link and of the containers' interfaces. Interfaces in `add_ports` keep theirs."},
	{Name: "ovs.bridge.userspace", Syntax: "`true` or `false`", Default: "`false`; a kernel without openvswitch: always `true`", set: setUserspace, Faucet: anyMode,
		Example: "true",
		Help:    "Use OVS's userspace datapath (`datapath_type=netdev`)."},
	{Name: "ovs.bridge.ovs_local_mac", Syntax: "MAC address", Default: "chosen by OVS", set: setLocalMAC, Faucet: anyMode,
		Example: "0e:01:00:00:00:03",
		Help:    "The MAC address of the bridge's own port, which is the gateway's in modes nat and routed."},
	{Name: "ovs.bridge.add_ports", Syntax: "comma-separated list of `NIC[/OFPORT[/ACL[/VLAN]]]`", Default: "none", set: setUplinks, Faucet: "any; ACL: " + managed + "; VLAN: " + managedOrAlone,
		Example: "eth1/7/office/20,eth2" + withFaucet,
		Help:    "Interfaces of the host to put into the bridge, each with the OpenFlow port number it shall have, else the lowest that is free, an ACL, and its native VLAN, else the network's. A field that is empty (`eth1//office`) counts as not given. One that carries an address or the default route is refused, unless `add_ports_force` moves that."},
	{Name: "ovs.bridge.add_ports_force", Syntax: "`migrate`", Default: "none", set: setForce, Faucet: anyMode,
		Example: "migrate -o ovs.bridge.add_ports=eth1",
		Help:    "`migrate`: one of `add_ports` may be the host's own interface. Its addresses and routes move to the bridge's own link, which takes its MAC address too, and back when the network is removed. With a controller, the host's traffic passes the switch like anybody's: what the controller does not allow is cut off, and all of it until one has connected. A controller behind that interface is refused. What names the interface (rules of a firewall, DHCP clients, network managers) must be told of the bridge."},
	{Name: "ovs.bridge.vlan", Syntax: vlanSyntax, Default: "100", set: setVLAN, Faucet: anyMode,
		Example: "20",
		Help:    "The network's native VLAN in Faucet. With `faucet.mode` off, give the same number in your faucet.yaml: dovesnap only records it. Without a controller it is the number of the untagged VLAN."},
	{Name: "ovs.bridge.default_acl", Syntax: exprSyntax, Default: "none", set: setExpr(func(n *Network) *Expr { return &n.DefaultACL }), Faucet: managed,
		Example: "guests" + withFaucet,
		Help:    "Faucet's ACL of containers that name none with the label or driver-opt `dovesnap.faucet.portacl`, and of ports that are known in advance."},
	{Name: "ovs.bridge.nat_acl", Syntax: exprSyntax, Default: "none", set: setExpr(func(n *Network) *Expr { return &n.NATACL }), Faucet: managed,
		Example: "office -o ovs.bridge.mode=nat" + withFaucet,
		Help:    "Faucet's ACL of the bridge's own port, in modes nat and routed, and in mode flat with `add_ports_force=migrate`: of what comes from the host, and through it from the outside."},
	{Name: "ovs.bridge.vlan_out_acl", Syntax: "`ACL` or `NETWORK:ACL`, several of these joined by `/`", Default: "none", set: setVLANOutACL, Faucet: managed,
		Example: "office" + withFaucet,
		Help:    "Faucet's ACL of what leaves the network's VLAN towards a port, on every datapath of that Faucet (`acl_out`). It must be the ACL of no port: Faucet takes one ACL on ports or on VLANs, not both. Two networks of one VLAN cannot ask for different ones."},
	{Name: "ovs.bridge.preallocate_ports", Syntax: "0 to 4096", Default: "64 where dovesnap configures Faucet", set: setPreallocate, Faucet: managed + "; else no effect",
		Example: "100" + withFaucet,
		Help:    "How many OpenFlow ports, from 1 on, Faucet knows before a container uses them, so that it need not read its configuration anew for one that asks for nothing special. More are added when they are used up."},
	{Name: "ovs.bridge.add_copro_ports", Syntax: "comma-separated list of `NIC[/OFPORT]`", Default: "none", set: setCoproPorts, Faucet: managed,
		Example: "eth3/9" + withFaucet,
		Help:    "Interfaces of the host to put into the bridge as Faucet's coprocessor ports: what enters there with a tag of VLAN 1000 + N leaves without it by port N."},
	{Name: "ovs.bridge.allow_forward", Syntax: "comma-separated list of network names, or `all`", Default: "none", Faucet: anyMode, Example: "other -o ovs.bridge.mode=nat", set: setAllowForward,
		Help: "Networks that this one and they reach each other through the host; `all` are Docker's own bridges too. Otherwise the host forwards nothing from one network in mode nat to another. One side's word is enough."},
	{Name: "ovs.bridge.mac_prefix", Syntax: macPrefixSyntax, Default: "`02:42` and the IPv4 address", set: setMACPrefix, Faucet: anyMode,
		Example: "0e:99",
		Help:    "How the MAC addresses of the network's containers begin. `docker inspect` shows them."},
	{Name: "ovs.bridge.bind_interface", Syntax: "", Default: "", set: neverWorked,
		Help: "Never had an effect; refused. Use `ovs.bridge.add_ports`."},
	{Name: "ovs.bridge.dhcp", Syntax: "`true` or `false`", Default: "`false`", Later: true,
		Help: "Addresses from a DHCP server on the LAN."},
	{Name: "ovs.bridge.lbport", Syntax: "OpenFlow port number", Default: "99", Later: true,
		Help: "Port of the mirror link."},
	{Name: "ovs.bridge.mirror_tunnel_vid", Syntax: "VLAN", Default: "vlan + 256", Later: true,
		Help: "VLAN of the mirror tunnel."},
}
