// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"slices"
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
	// FaucetManaged reports that dovesnap writes Faucet's configuration, so that
	// options that are for Faucet can be had.
	FaucetManaged bool
}

// Option is one row of the table of network options: it parses, and it writes
// docs/options.md.
type Option struct {
	Name    string
	Syntax  string
	Default string
	Help    string
	Example string // a value, where no test of documentation could guess one
	Later   bool   // known, parsed later; until then refused rather than ignored
	faucet  bool   // needs a Faucet that dovesnap configures
	set     func(*Network, string) error
}

const aclSyntax = "`ACL[,ACL…]`, or `NETWORK:ACL[,ACL…]`, several of these joined by `/`"

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
	{Name: "ovs.bridge.add_ports", Syntax: "comma-separated list of `NIC[/OFPORT[/ACL[/VLAN]]]`", Default: "none", set: setUplinks, Example: "eth1/7/office//20",
		Help: "Interfaces of the host to put into the bridge, each with the OpenFlow port number it shall have, else the lowest that is free, an ACL, and its native VLAN, else the network's. A field that is empty (`eth1//office`) counts as not given. One that carries an address or the default route is refused, unless `add_ports_force` moves that."},
	{Name: "ovs.bridge.add_ports_force", Syntax: "`migrate`", Default: "none", set: setForce,
		Help: "`migrate`: one of `add_ports` may be the host's own interface. Its addresses and routes move to the bridge's own link, which takes its MAC address too, and back when the network is removed. With a controller, the host's traffic passes the switch like anybody's: what the controller does not allow is cut off, and all of it until one has connected. A controller behind that interface is refused. What names the interface (rules of a firewall, DHCP clients, network managers) must be told of the bridge."},
	{Name: "ovs.bridge.vlan", Syntax: "1 to 4094", Default: "100", set: setVLAN,
		Help: "The network's native VLAN in Faucet. With `faucet.mode` off, give the same number in your faucet.yaml: dovesnap only records it."},
	{Name: "ovs.bridge.default_acl", Syntax: aclSyntax, Default: "none", set: setExpr(func(n *Network) *Expr { return &n.DefaultACL }), faucet: true,
		Help: "Faucet's ACL of containers that name none with the label or driver-opt `dovesnap.faucet.portacl`, and of ports that are known in advance."},
	{Name: "ovs.bridge.nat_acl", Syntax: aclSyntax, Default: "none", set: setExpr(func(n *Network) *Expr { return &n.NATACL }), faucet: true,
		Help: "Faucet's ACL of the gateway's port, in modes nat and routed: of what comes from the host and the outside."},
	{Name: "ovs.bridge.vlan_out_acl", Syntax: aclSyntax, Default: "none", set: setExpr(func(n *Network) *Expr { return &n.VLANOutACL }), faucet: true,
		Help: "Faucet's ACL of what leaves the network's VLAN towards a port, on every datapath of that Faucet (`acl_out`; one ACL)."},
	{Name: "ovs.bridge.preallocate_ports", Syntax: "0 to 4096", Default: "64 where dovesnap configures Faucet", set: setPreallocate,
		Help: "How many OpenFlow ports, from 1 on, Faucet knows before a container uses them, so that it need not read its configuration anew for one that asks for nothing special. More are added when they are used up."},
	{Name: "ovs.bridge.add_copro_ports", Syntax: "comma-separated list of `NIC[/OFPORT]`", Default: "none", set: setCoproPorts, faucet: true,
		Help: "Interfaces of the host to put into the bridge as Faucet's coprocessor ports: what enters there with a VLAN tag leaves by the port of that VLAN's number."},
	{Name: "ovs.bridge.mac_prefix", Syntax: "one to five bytes, `0e:99`", Default: "`02:42` and the IPv4 address", set: setMACPrefix,
		Help: "How the MAC addresses of the network's containers begin. `docker inspect` shows them."},
	{Name: "ovs.bridge.bind_interface", Syntax: "", Default: "", set: neverWorked,
		Help: "Never had an effect; refused. Use `ovs.bridge.add_ports`."},
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
	errs = append(errs, n.checkFaucet(r)...)
	if n.Bridge == "" {
		n.Bridge = BridgeName(n.ID)
	}
	if n.DPID == 0 {
		n.DPID = DerivedDPID(n.ID)
	}
	errs = append(errs, n.checkUplinks()...)
	n.pinUplinks()
	if len(errs) == 0 {
		errs = append(errs, n.check())
	}
	return n, oneLine(errs)
}

// checkFaucet refuses options that only Faucet could realise when dovesnap does
// not configure it, or when the network has no controller: an ACL that is asked
// for and not applied is worse than none.
func (n Network) checkFaucet(r Request) (errs []error) {
	given := func(o Option) bool { _, ok := r.Options[o.Name]; return ok }
	refuse := func(name, why string) { errs = append(errs, fmt.Errorf("option %s: %s", name, why)) }
	const noController = "the network has no controller that would apply it"
	for _, o := range Options {
		switch {
		case !o.faucet || !given(o):
		case len(n.Controllers) == 0:
			refuse(o.Name, noController)
		case !r.FaucetManaged:
			refuse(o.Name, offReason)
		}
	}
	for _, u := range n.Uplinks {
		switch {
		case u.ACL == "" && u.VLAN == 0:
		case len(n.Controllers) == 0 && u.ACL != "":
			refuse("ovs.bridge.add_ports", fmt.Sprintf("ACL of %s: %s", u.Name, noController))
		case len(n.Controllers) > 0 && !r.FaucetManaged:
			refuse("ovs.bridge.add_ports", fmt.Sprintf("ACL or VLAN of %s: %s", u.Name, offReason))
		}
	}
	if !n.Routed() && n.NATACL != "" {
		refuse("ovs.bridge.nat_acl", "mode flat has no gateway port")
	}
	return errs
}

// checkUplinks refuses interfaces and OF ports that are given twice, within an
// option or between two.
func (n Network) checkUplinks() (errs []error) {
	names, ports := map[string]bool{}, map[OFPort]string{}
	for _, u := range n.Uplinks {
		option := "ovs.bridge.add_ports"
		if u.Coprocessor {
			option = "ovs.bridge.add_copro_ports"
		}
		if names[u.Name] {
			errs = append(errs, fmt.Errorf("option %s: %s is listed twice", option, u.Name))
			continue
		}
		names[u.Name] = true
		if other, taken := ports[u.OFPort]; taken && u.OFPort != 0 {
			errs = append(errs, fmt.Errorf("option %s: %s and %s both ask for OpenFlow port %d", option, other, u.Name, u.OFPort))
		}
		ports[u.OFPort] = u.Name
	}
	return errs
}

// pinUplinks numbers the uplinks whose user gave no OF port, lowest first. Ports
// that OVS numbers by itself swap numbers when a datapath is lost.
func (n *Network) pinUplinks() {
	slices.SortStableFunc(n.Uplinks, func(a, b Uplink) int { // coprocessors last
		switch {
		case a.Coprocessor == b.Coprocessor:
			return 0
		case a.Coprocessor:
			return 1
		}
		return -1
	})
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
	if n.MigrateUplinks && len(n.Uplinks) == 0 {
		return errors.New("option ovs.bridge.add_ports_force: there is nothing to migrate without ovs.bridge.add_ports")
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

func setForce(n *Network, v string) error {
	if v != "migrate" {
		return fmt.Errorf("%q is not migrate", v)
	}
	n.MigrateUplinks = true
	return nil
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

func setMACPrefix(n *Network, v string) (err error) {
	n.MACPrefix, err = ParseMACPrefix(v)
	return
}

func setPreallocate(n *Network, v string) error {
	count, err := between(v, 0, 4096)
	n.Preallocate = &count
	return err
}

func setExpr(field func(*Network) *Expr) func(*Network, string) error {
	return func(n *Network, v string) (err error) {
		*field(n), err = ParseExpr(v)
		return
	}
}

// setUplinks reads NIC[/OFPORT[/ACL[/VLAN]]], comma-separated. The separator
// leaves room for one item of an expression: ACL or NETWORK:ACL.
func setUplinks(n *Network, v string) error {
	return addUplinks(n, v, "NIC/OFPORT/ACL/VLAN", func(u *Uplink, fields []string) (err error) {
		if len(fields) > 2 && fields[2] != "" {
			if u.ACL, err = ParseExpr(fields[2]); err != nil {
				return fmt.Errorf("ACL of %s: %w", u.Name, err)
			}
		}
		if len(fields) > 3 && fields[3] != "" {
			if u.VLAN, err = ParseVLAN(fields[3]); err != nil {
				return fmt.Errorf("VLAN of %s: %w", u.Name, err)
			}
		}
		return nil
	})
}

func setCoproPorts(n *Network, v string) error {
	return addUplinks(n, v, "NIC/OFPORT", func(u *Uplink, _ []string) error {
		u.Coprocessor = true
		return nil
	})
}

// addUplinks reads a comma-separated list of NIC[/OFPORT[…]]; rest reads the
// other fields of an item, as many as its form has.
func addUplinks(n *Network, v, form string, rest func(*Uplink, []string) error) error {
	for _, item := range strings.Split(v, ",") {
		item = strings.TrimSpace(item)
		fields := strings.Split(item, "/")
		u := Uplink{Name: fields[0]}
		if err := CheckLinkName(u.Name); err != nil {
			return err
		}
		if strings.Count(item, "/") > strings.Count(form, "/") {
			return fmt.Errorf("%q has more than %s", item, form)
		}
		if len(fields) > 1 && fields[1] != "" {
			var err error
			if u.OFPort, err = ParseOFPort(fields[1]); err != nil {
				return err
			}
		}
		if err := rest(&u, fields); err != nil {
			return err
		}
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
