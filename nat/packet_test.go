// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// wires is a host with a nat network, a routed network and two neighbours, each
// a network namespace away. A plain bridge stands for OVS's: to the host's
// packet filter both are links of that name.
type wires struct {
	*host
	home netns.NsHandle
}

// away is a namespace behind the host.
type away struct {
	ns   netns.NsHandle
	addr netip.Addr
}

func newWires(t testing.TB, flavour string) *wires {
	h := newHost(t, flavour)
	home, err := netns.Get()
	must(t, err)
	t.Cleanup(func() { home.Close() })
	return &wires{h, home}
}

// connect makes a namespace with an address, behind a link of the host that has
// the router's address.
func (w *wires) connect(link string, router netip.Prefix, host netip.Addr, bridged bool) away {
	w.Helper()
	there, err := netns.New()
	must(w, err)
	w.Cleanup(func() { there.Close() })
	must(w, netns.Set(w.home))

	attrs := netlink.NewLinkAttrs()
	attrs.Name = link
	if bridged {
		must(w, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
		attrs.Name = "p-" + link[max(0, len(link)-13):]
	}
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(there)
	must(w, netlink.LinkAdd(veth))
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	must(w, err)
	defer here.Close()
	if bridged {
		bridge, err := here.LinkByName(link)
		must(w, err)
		must(w, here.LinkSetMaster(veth, bridge))
		must(w, here.LinkSetUp(veth))
	}
	up(w, here, link, router)

	inside, err := netlink.NewHandleAt(there, unix.NETLINK_ROUTE)
	must(w, err)
	defer inside.Close()
	up(w, inside, "eth0", netip.PrefixFrom(host, router.Bits()))
	must(w, inside.RouteAdd(&netlink.Route{Gw: router.Addr().AsSlice()}))
	return away{there, host}
}

func up(t testing.TB, h *netlink.Handle, name string, address netip.Prefix) {
	t.Helper()
	link, err := h.LinkByName(name)
	must(t, err)
	must(t, h.LinkSetUp(link))
	ipnet := &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), address.Addr().BitLen())}
	must(t, h.AddrAdd(link, &netlink.Addr{IPNet: ipnet, Flags: unix.IFA_F_NODAD}))
}

// listen opens a socket in the namespace.
func (w *wires) listen(a away) *net.UDPConn {
	w.Helper()
	must(w, netns.Set(a.ns))
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.addr, 7)))
	must(w, netns.Set(w.home))
	must(w, err)
	w.Cleanup(func() { c.Close() })
	must(w, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

// send sends one datagram from one namespace to another's socket.
func (w *wires) send(from, to away) *net.UDPConn {
	w.Helper()
	must(w, netns.Set(from.ns))
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.addr, 7)))
	must(w, netns.Set(w.home))
	must(w, err)
	w.Cleanup(func() { c.Close() })
	must(w, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = c.Write([]byte("ping"))
	must(w, err)
	return c
}

// wantPasses sends there and back, and checks who the receiver believes it was.
func (w *wires) wantPasses(what string, from, to away, source netip.Addr) {
	w.Helper()
	server := w.listen(to)
	defer server.Close()
	client := w.send(from, to)
	buffer := make([]byte, 16)
	_, peer, err := server.ReadFromUDPAddrPort(buffer)
	if err != nil {
		w.Fatalf("%s: %v\n%s", what, err, w.counters())
	}
	if got := peer.Addr().Unmap(); got != source {
		w.Errorf("%s: comes from %s, want %s", what, got, source)
	}
	_, err = server.WriteToUDPAddrPort([]byte("pong"), peer)
	must(w, err)
	if _, err := client.Read(buffer); err != nil {
		w.Fatalf("%s, the answer: %v\n%s", what, err, w.counters())
	}
}

// wantDropped sends, waits until the rule has counted it, and checks that nothing
// arrived.
func (w *wires) wantDropped(what string, from, to away, rule string) {
	w.Helper()
	server := w.listen(to)
	defer server.Close()
	before := w.count(rule)
	w.send(from, to)
	for w.count(rule) == before {
		if w.ctx.Err() != nil {
			w.Fatalf("%s: rule %q drops nothing\n%s", what, rule, w.counters())
		}
	}
	must(w, server.SetReadDeadline(time.Now()))
	if _, _, err := server.ReadFromUDPAddrPort(make([]byte, 16)); err == nil {
		w.Errorf("%s: it arrived", what)
	}
}

func (w *wires) counters() string {
	var out []byte
	for _, name := range []string{"iptables", "ip6tables"} {
		part, err := exec.Command(name+"-"+w.flavour+"-save", "-c").Output()
		must(w, err)
		out = append(out, part...)
	}
	return string(out)
}

// count sums the packets that the rules ending in that text have seen.
func (w *wires) count(rule string) int {
	w.Helper()
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^\[(\d+):\d+\] .*`+rule+`$`).FindAllStringSubmatch(w.counters(), -1) {
		n, err := strconv.Atoi(m[1])
		must(w, err)
		sum += n
	}
	return sum
}

func TestPackets(t *testing.T) {
	for _, flavour := range flavours {
		for name, prefix := range map[string]string{"IPv4": "10.%d.0.%d", "IPv6": "fd00:%d::%d"} {
			t.Run(flavour+"/"+name, func(t *testing.T) { testPackets(t, flavour, prefix) })
		}
	}
}

func testPackets(t *testing.T, flavour, prefix string) {
	w := newWires(t, flavour)
	at := func(net, host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(prefix, net, host)) }
	bits := 24
	if at(5, 1).Is6() {
		bits = 64
	}
	connect := func(link string, net int, bridged bool) away {
		return w.connect(link, netip.PrefixFrom(at(net, 1), bits), at(net, 8), bridged)
	}
	natted, second, routed := connect("ovs-e", 5, true), connect("ovs-9", 9, true), connect("ovs-f", 6, true)
	outside, neighbour := connect("eth0", 1, false), connect("eth1", 2, false)

	other := network("9", spec.NAT, fmt.Sprintf(prefix, 9, 1)+"/"+strconv.Itoa(bits))
	nets := []spec.Network{dualE, dualF, other}
	w.apply(nets...)
	must(t, w.EnsureForwarding(w.ctx, nets))

	w.wantPasses("nat to outside", natted, outside, at(1, 1))
	w.wantPasses("routed to outside", routed, outside, at(6, 8))
	w.wantPasses("nat to routed", natted, routed, at(5, 8))
	w.wantPasses("outside to routed", outside, routed, at(1, 8))

	const drop = `-o ovs-e .*-j DROP`
	w.wantDropped("outside to nat", outside, natted, drop)
	w.wantDropped("routed to nat", routed, natted, drop)
	w.wantDropped("nat to another nat", second, natted, drop)
	w.wantDropped("a neighbour to another, by a host that was no router", outside, neighbour, `-A `+guardChain+` .*-j DROP`)
}

// The same of IPv6: neighbour discovery by an uplink would go around the switch too.
func TestPortsAreTheSwitchsInIPv6(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		home, err := netns.Get()
		must(t, err)
		t.Cleanup(func() { home.Close() })
		w := &wires{h, home}
		uplink := w.connect("eth7", netip.MustParsePrefix("fd00:9::1/64"), netip.MustParseAddr("fd00:9::8"), false)
		self := away{home, netip.MustParseAddr("fd00:9::1")}
		w.wantPasses("by the uplink, were it not for the rules", uplink, self, uplink.addr)
		w.apply(flatD)
		w.wantDropped("by the uplink", uplink, self, `-A `+rawChain+` -i eth7 .*-j DROP`)
	})
}

// The userspace datapath leaves the host a copy of all that containers and the
// uplink's LAN send. The host hears what the switch passes on, and only that.
func TestPortsAreTheSwitchs(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		home, err := netns.Get()
		must(t, err)
		t.Cleanup(func() { home.Close() })
		w := &wires{h, home}
		at := netip.MustParseAddr
		bridge := w.connect("ovs-a", netip.MustParsePrefix("10.1.0.1/24"), at("10.1.0.8"), true)
		port := w.connect("dsv0123456789ab", netip.MustParsePrefix("10.8.0.1/24"), at("10.8.0.8"), false)
		uplink := w.connect("eth7", netip.MustParsePrefix("10.9.0.1/24"), at("10.9.0.8"), false)
		outside := w.connect("eth0", netip.MustParsePrefix("192.0.2.1/24"), at("192.0.2.8"), false)
		gateway := away{home, at("10.1.0.1")}

		w.wantPasses("around the switch, were it not for the rules", port, gateway, port.addr)
		nets := []spec.Network{natA, flatD}
		w.apply(nets...)
		must(t, w.EnsureForwarding(w.ctx, nets))
		w.wantPasses("by the bridge's link to the gateway", bridge, gateway, bridge.addr)
		w.wantPasses("by the bridge's link to outside", bridge, outside, at("192.0.2.1"))
		const ports, nic = `-A ` + rawChain + ` -i dsv\+ .*-j DROP`, `-A ` + rawChain + ` -i eth7 .*-j DROP`
		w.wantDropped("around the switch to the gateway", port, gateway, ports)
		w.wantDropped("around the switch to outside", port, outside, ports)
		w.wantDropped("from the LAN around the switch", uplink, gateway, nic)
		w.apply(natA)
		w.wantPasses("from an interface that is in no bridge any more", uplink, gateway, uplink.addr)
	})
}

// What iptables would do, over the rendered text: rules by their meaning rather
// than by their letters.
func TestWalk(t *testing.T) {
	nets := []spec.Network{natA, natB, routedC, flatD}
	rules := Render(nets, nil, Links{Others: []string{"br-lan"}, Docker: []string{"mynet"}}).V4
	for _, c := range []struct {
		in, out     string
		established bool
		want        string
	}{
		{"ovs-a", "eth0", false, "ACCEPT"},
		{"eth0", "ovs-a", true, "ACCEPT"},
		{"eth0", "ovs-a", false, "DROP"},
		{"ovs-a", "ovs-a", false, "ACCEPT"},
		{"ovs-b", "ovs-a", false, "DROP"},
		{"ovs-a", "ovs-b", false, "DROP"},
		{"ovs-a", "ovs-b", true, "ACCEPT"},
		{"ovs-c", "ovs-a", false, "DROP"},
		{"ovs-a", "ovs-c", false, "ACCEPT"},
		{"eth0", "ovs-c", false, "ACCEPT"},
		{"ovs-c", "eth0", false, "ACCEPT"},
		{"docker0", "ovs-a", false, "DROP"},
		{"ovs-a", "docker0", false, "DROP"},
		{"ovs-a", "docker0", true, "ACCEPT"},
		{"ovs-a", "docker_gwbridge", false, "DROP"},
		{"ovs-a", "br-0123456789ab", false, "DROP"},
		{"ovs-a", "mynet", false, "DROP"},
		{"ovs-a", "br-lan", false, "ACCEPT"},
		{"ovs-c", "docker0", false, "ACCEPT"},
		// Not ours to decide.
		{"eth0", "eth1", false, ""},
		{"docker0", "eth0", false, ""},
		{"ovs-d", "eth0", false, ""},
		{"eth0", "ovs-d", false, ""},
	} {
		p := packet{in: c.in, out: c.out, established: c.established}
		if got := p.walk(t, rules.Forward, rules.Isolate); got != c.want {
			t.Errorf("%s to %s, established %v: %q, want %q", c.in, c.out, c.established, got, c.want)
		}
	}
	for _, c := range []packet{{in: "eth0", out: "ovs-a"}, {in: "ovs-b", out: "ovs-a"}, {in: "ovs-a", out: "docker0"}} {
		c.redirected = true
		if got := c.walk(t, rules.Forward, rules.Isolate); got != "ACCEPT" {
			t.Errorf("redirected from %s to %s: %q", c.in, c.out, got)
		}
	}
	for in, want := range map[string]string{
		"dsv0123456789ab": "DROP",
		"eth7":            "DROP",
		"dsb0123456789ab": "",
		"ovs-a":           "",
		"ovs-d":           "",
		"eth0":            "",
		"eth7.100":        "",
	} {
		if got := (packet{in: in}).walk(t, rules.Raw, nil); got != want {
			t.Errorf("from %s: %q, want %q", in, got, want)
		}
	}
	for _, c := range []struct{ source, target, out, want string }{
		{"10.1.0.8", "192.0.2.1", "eth0", "MASQUERADE"},
		{"10.1.0.8", "10.4.0.8", "eth0", "MASQUERADE"}, // flat: behind somebody else's router
		{"10.1.0.8", "10.1.0.9", "ovs-a", "RETURN"},
		{"10.1.0.8", "10.2.0.9", "ovs-b", "RETURN"},
		{"10.1.0.8", "10.3.0.9", "ovs-c", "RETURN"},
		{"10.1.0.8", "224.0.0.1", "ovs-a", ""},
		{"10.3.0.8", "192.0.2.1", "eth0", ""},
		{"192.0.2.1", "198.51.100.1", "eth1", ""},
	} {
		p := packet{out: c.out, source: netip.MustParseAddr(c.source), target: netip.MustParseAddr(c.target)}
		if got := p.walk(t, rules.Post, nil); got != c.want {
			t.Errorf("%s to %s by %s: %q, want %q", c.source, c.target, c.out, got, c.want)
		}
	}
}

type packet struct {
	in, out        string
	source, target netip.Addr
	established    bool
	redirected     bool // to a published port
}

// walk returns the target of the first rule that matches.
func (p packet) walk(t *testing.T, rules, isolate []string) string {
	t.Helper()
	for _, rule := range rules {
		words, match, not := strings.Fields(rule), true, false
		for i := 0; i < len(words); i += 2 {
			if words[i] == "!" {
				not = true
				i--
				continue
			}
			var hit bool
			switch key, value := words[i], words[i+1]; key {
			case "-m", "--comment":
				hit = true
			case "-i":
				prefix, wildcard := strings.CutSuffix(value, "+")
				hit = p.in == value || wildcard && strings.HasPrefix(p.in, prefix)
			case "-o":
				prefix, wildcard := strings.CutSuffix(value, "+")
				hit = p.out == value || wildcard && strings.HasPrefix(p.out, prefix)
			case "-s":
				hit = netip.MustParsePrefix(value).Contains(p.source)
			case "-d":
				hit = netip.MustParsePrefix(value).Contains(p.target)
			case "--ctstate":
				hit = p.established && strings.Contains(value, "ESTABLISHED") || p.redirected && strings.Contains(value, "DNAT")
			case "-j":
				if match && value == isolateChain {
					if got := p.walk(t, isolate, nil); got == "DROP" {
						return got
					}
				} else if match {
					return value
				}
				hit = true
			default:
				t.Fatalf("the walk does not know %q in %q", key, rule)
			}
			match = match && hit != not
			not = false
		}
	}
	return ""
}
