// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Request is what Docker's CreateNetwork says of a network, still as text.
type Request struct {
	ID       NetworkID
	Options  map[string]any // com.docker.network.generic: the -o options
	Subnets  []Subnet
	Internal bool
	// Controllers is the daemon's default for networks that name none.
	Controllers []Controller
}

// Option is one row of the table of network options: it parses, and it writes
// docs/options.md.
type Option struct {
	Name    string
	Syntax  string
	Default string
	Help    string
	Later   bool // known, parsed later; until then refused rather than ignored
	set     func(*Network, string) error
}

// Options is the table, in the order of the documentation.
var Options = []Option{
	{Name: "ovs.bridge.mode", Syntax: "`flat`, `nat` or `routed`", Default: "`flat`", set: setMode,
		Help: "What connects the network to the outside. `flat`: nothing but the ports you add; the gateway is a router on that LAN, named by `--gateway` (Docker before 28 invents one if you don't). `nat`: the host is the gateway and masquerades what leaves the network. `routed`: the host is the gateway and routes without NAT."},
	{Name: "ovs.bridge.controller", Syntax: "comma-separated list of `tcp:IP[:PORT]`, `ssl:IP[:PORT]`, `unix:FILE`, `ptcp:[PORT][:IP]`, `pssl:[PORT][:IP]`", Default: "the daemon's `controllers`; else none", set: setControllers,
		Help: "The OpenFlow controllers. With one, the bridge forwards nothing that a controller did not allow (`fail_mode=secure`). Without one it is a plain learning switch."},
	{Name: "ovs.bridge.dpid", Syntax: "`0x` and hexadecimal digits, or decimal", Default: "derived from the network's ID", set: setDPID,
		Help: "The datapath id, Faucet's `dp_id`. Two networks cannot share one. `dovesnap status` shows it."},
	{Name: "ovs.bridge.name", Syntax: "interface name of at most 15 characters", Default: "`dsb` and the first 12 digits of the network's ID", set: setName,
		Help: "The name of the OVS bridge and of its own link on the host."},
	{Name: "ovs.bridge.mtu", Syntax: "68 to 65535", Default: "1500", set: setMTU,
		Help: "The MTU in bytes of the bridge's own link and of the containers' interfaces. Interfaces in `add_ports` keep theirs."},
	{Name: "ovs.bridge.userspace", Syntax: "`true` or `false`", Default: "`false`; a kernel without openvswitch: always `true`", set: setUserspace,
		Help: "Use OVS's userspace datapath (`datapath_type=netdev`)."},
	{Name: "ovs.bridge.ovs_local_mac", Syntax: "MAC address", Default: "chosen by OVS", set: setLocalMAC,
		Help: "The MAC address of the bridge's own port, which is the gateway's in modes nat and routed."},
	{Name: "ovs.bridge.add_ports", Syntax: "comma-separated list of `NIC[/OFPORT]`", Default: "none", set: setUplinks,
		Help: "Interfaces of the host to put into the bridge, each with the OpenFlow port number it shall have, else the lowest that is free. One that carries an address or the default route is refused. The further fields `/ACL/VLAN` are not available yet."},
	{Name: "ovs.bridge.vlan", Syntax: "1 to 4094", Default: "100", set: setVLAN,
		Help: "The network's native VLAN in Faucet. While faucet.yaml is yours (the default), give the same number there: dovesnap only records it."},
	{Name: "ovs.bridge.bind_interface", Syntax: "", Default: "", set: neverWorked,
		Help: "Never had an effect; refused. Use `ovs.bridge.add_ports`."},
	{Name: "ovs.bridge.add_copro_ports", Syntax: "comma-separated list of `NIC[/OFPORT]`", Default: "none", Later: true,
		Help: "Coprocessor ports of Faucet."},
	{Name: "ovs.bridge.nat_acl", Syntax: "ACL name", Default: "none", Later: true,
		Help: "Faucet ACL of the gateway's port."},
	{Name: "ovs.bridge.default_acl", Syntax: "ACL name", Default: "none", Later: true,
		Help: "Faucet ACL of containers that name none."},
	{Name: "ovs.bridge.vlan_out_acl", Syntax: "ACL name", Default: "none", Later: true,
		Help: "Faucet ACL of what leaves the VLAN."},
	{Name: "ovs.bridge.preallocate_ports", Syntax: "number", Default: "0", Later: true,
		Help: "OpenFlow ports that Faucet knows before a container uses them."},
	{Name: "ovs.bridge.dhcp", Syntax: "`true` or `false`", Default: "`false`", Later: true,
		Help: "Addresses from a DHCP server on the LAN."},
	{Name: "ovs.bridge.lbport", Syntax: "OpenFlow port number", Default: "99", Later: true,
		Help: "Port of the mirror link."},
	{Name: "ovs.bridge.mirror_tunnel_vid", Syntax: "VLAN", Default: "vlan + 256", Later: true,
		Help: "VLAN of the mirror tunnel."},
}

// mtuOption is Docker's own name for a network's MTU; people pass it to every
// driver, so it means the same here.
const mtuOption = "com.docker.network.driver.mtu"

// ParseNetwork turns a request into a Network or one error that names every bad
// option.
func ParseNetwork(r Request) (Network, error) {
	n := Network{ID: r.ID, Mode: Flat, VLAN: 100, Subnets: r.Subnets, Internal: r.Internal, Controllers: r.Controllers}
	var errs []error
	for _, name := range sortedKeys(r.Options) {
		value, ok := r.Options[name].(string)
		if !ok {
			errs = append(errs, fmt.Errorf("option %s: its value is not a string", name))
			continue
		}
		if err := setOption(&n, name, strings.TrimSpace(value)); err != nil {
			errs = append(errs, err)
		}
	}
	if n.Bridge == "" {
		n.Bridge = BridgeName(n.ID)
	}
	if n.DPID == 0 {
		n.DPID = DerivedDPID(n.ID)
	}
	n.pinUplinks()
	if len(errs) == 0 {
		errs = append(errs, n.check())
	}
	return n, oneLine(errs)
}

// pinUplinks numbers the uplinks whose user gave no OF port, lowest first. Ports
// that OVS numbers by itself swap numbers when a datapath is lost.
func (n *Network) pinUplinks() {
	used := map[OFPort]bool{}
	for _, u := range n.Uplinks {
		used[u.OFPort] = true
	}
	next := OFPort(1)
	for i := range n.Uplinks {
		if n.Uplinks[i].OFPort != 0 {
			continue
		}
		for used[next] {
			next++
		}
		n.Uplinks[i].OFPort, used[next] = next, true
	}
}

func setOption(n *Network, name, value string) error {
	known := name
	if name == mtuOption {
		known = "ovs.bridge.mtu"
	}
	for _, o := range Options {
		if o.Name != known {
			continue
		}
		if o.Later {
			return fmt.Errorf("option %s is not available yet", name)
		}
		if err := o.set(n, value); err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
		return nil
	}
	switch {
	case strings.HasPrefix(name, "com.docker.network.bridge."):
		return fmt.Errorf("option %s is one of Docker's bridge driver's", name)
	case strings.HasPrefix(name, "com.docker.network."):
		return nil // Docker's own, meant for Docker
	}
	names := make([]string, len(Options))
	for i, o := range Options {
		names[i] = o.Name
	}
	return fmt.Errorf("unknown option %s; did you mean %s?", name, Nearest(name, names))
}

// check refuses what only shows when all options are known.
func (n Network) check() error {
	for _, u := range n.Uplinks {
		if u.Name == n.Bridge {
			return fmt.Errorf("option ovs.bridge.add_ports: %s is the bridge itself", u.Name)
		}
	}
	if !n.Routed() {
		return nil
	}
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() {
			return nil
		}
	}
	return fmt.Errorf("mode %s needs a subnet with a gateway: give --subnet and --gateway, and no --ipam-driver null", n.Mode)
}

func setMode(n *Network, v string) (err error) { n.Mode, err = ParseMode(v); return }
func setDPID(n *Network, v string) (err error) { n.DPID, err = ParseDPID(v); return }

func setControllers(n *Network, v string) (err error) {
	n.Controllers, err = ParseControllers(v)
	return
}

func setName(n *Network, v string) error {
	n.Bridge = v
	if strings.HasPrefix(v, hostPrefix) || strings.HasPrefix(v, containerPrefix) {
		// What enters the host's IP by a name that begins so is dropped.
		return fmt.Errorf("%q begins like a container's link: %s and %s are taken", v, hostPrefix, containerPrefix)
	}
	return CheckLinkName(v)
}

func setMTU(n *Network, v string) (err error) {
	n.MTU, err = between(v, 68, 65535)
	return
}

func setVLAN(n *Network, v string) (err error) {
	n.VLAN, err = between(v, 1, 4094)
	return
}

func setUserspace(n *Network, v string) (err error) {
	if n.Userspace, err = strconv.ParseBool(v); err != nil {
		err = fmt.Errorf("%q is not true or false", v)
	}
	return
}

func setLocalMAC(n *Network, v string) (err error) { n.LocalMAC, err = ParseMAC(v); return }

func neverWorked(*Network, string) error {
	return errors.New("it never had an effect; use ovs.bridge.add_ports")
}

// setUplinks reads NIC[/OFPORT[/ACL[/VLAN]]], comma-separated.
func setUplinks(n *Network, v string) error {
	names, ports := map[string]bool{}, map[OFPort]string{}
	for _, item := range strings.Split(v, ",") {
		fields := strings.Split(strings.TrimSpace(item), "/")
		u := Uplink{Name: fields[0]}
		if err := CheckLinkName(u.Name); err != nil {
			return err
		}
		if len(fields) > 4 {
			return fmt.Errorf("%q has more than NIC/OFPORT/ACL/VLAN", item)
		}
		if len(fields) > 1 && fields[1] != "" {
			var err error
			if u.OFPort, err = ParseOFPort(fields[1]); err != nil {
				return err
			}
			if other, ok := ports[u.OFPort]; ok {
				return fmt.Errorf("%s and %s both ask for OpenFlow port %d", other, u.Name, u.OFPort)
			}
			ports[u.OFPort] = u.Name
		}
		for i, field := range []string{"", "", "ACL", "VLAN"} {
			if i >= 2 && i < len(fields) && fields[i] != "" {
				return fmt.Errorf("%q: the field %s is not available yet", item, field)
			}
		}
		if names[u.Name] {
			return fmt.Errorf("%s is listed twice", u.Name)
		}
		names[u.Name] = true
		n.Uplinks = append(n.Uplinks, u)
	}
	return nil
}

func between(v string, lo, hi int) (int, error) {
	i, err := strconv.Atoi(v)
	if err != nil || i < lo || i > hi {
		return 0, fmt.Errorf("%q is not a number from %d to %d", v, lo, hi)
	}
	return i, nil
}

// oneLine joins errors by semicolons: Docker prints the text to the user's
// terminal as it is.
func oneLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
