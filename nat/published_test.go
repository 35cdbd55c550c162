// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// join makes one more container on a bridge that connect made.
func (w *wires) join(bridge string, router netip.Prefix, host netip.Addr) away {
	w.Helper()
	there, err := netns.New()
	must(w, err)
	w.Cleanup(func() { there.Close() })
	must(w, netns.Set(w.home))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge + "-q"
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(there)
	must(w, netlink.LinkAdd(veth))
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	must(w, err)
	defer here.Close()
	master, err := here.LinkByName(bridge)
	must(w, err)
	must(w, here.LinkSetMaster(veth, master))
	must(w, here.LinkSetUp(veth))
	inside, err := netlink.NewHandleAt(there, unix.NETLINK_ROUTE)
	must(w, err)
	defer inside.Close()
	up(w, inside, "eth0", netip.PrefixFrom(host, router.Bits()))
	must(w, inside.RouteAdd(&netlink.Route{Gw: router.Addr().AsSlice()}))
	return away{there, host}
}

// in runs f in a namespace.
func (w *wires) in(a away, f func()) {
	w.Helper()
	must(w, netns.Set(a.ns))
	defer func() { must(w, netns.Set(w.home)) }()
	f()
}

// serve answers on a port of a container's with the address it was asked from.
func (w *wires) serve(a away, port int) {
	w.Helper()
	address := net.JoinHostPort(a.addr.String(), strconv.Itoa(port))
	w.in(a, func() {
		l, err := net.Listen("tcp", address)
		must(w, err)
		w.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap().String())
				c.Close()
			}
		}()
		u, err := net.ListenPacket("udp", address)
		must(w, err)
		w.Cleanup(func() { u.Close() })
		go func() {
			for buffer := make([]byte, 16); ; {
				_, from, err := u.ReadFrom(buffer)
				if err != nil {
					return
				}
				_, _ = u.WriteTo([]byte(netip.MustParseAddrPort(from.String()).Addr().Unmap().String()), from)
			}
		}()
	})
}

// ask returns what the server says whom it was asked by.
func (w *wires) ask(from away, proto spec.Proto, to string) (string, error) {
	w.Helper()
	var c net.Conn
	var err error
	w.in(from, func() { c, err = net.DialTimeout(string(proto), to, 10*time.Second) })
	if err != nil {
		return "", err
	}
	defer c.Close()
	must(w, c.SetDeadline(time.Now().Add(10*time.Second)))
	if proto == spec.UDP {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		buffer := make([]byte, 64)
		n, err := c.Read(buffer)
		return string(buffer[:n]), err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// scene is a host with two nat networks and a routed one, and an outside.
type scene struct {
	*wires
	host, web, sibling, second, routed, outside away
	at                                          func(net, host int) netip.Addr
	bits                                        int
	nets                                        []spec.Network
}

func newScene(t testing.TB, flavour, prefix string) *scene {
	newNetns(t)
	return newSceneHere(t, flavour, prefix)
}

// newSceneHere makes it in the test's own namespace.
func newSceneHere(t testing.TB, flavour, prefix string) *scene {
	h := newHostHere(t, flavour)
	home, err := netns.Get()
	must(t, err)
	t.Cleanup(func() { home.Close() })
	s := &scene{wires: &wires{h, home}, bits: 24}
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0)  // Open vSwitch has no such thing
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-ip6tables", []byte("0"), 0) // nor the kernel without br_netfilter
	s.at = func(net, host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(prefix, net, host)) }
	if s.at(1, 1).Is6() {
		s.bits = 64
	}
	command(t, "ip", "link", "set", "lo", "up")
	router := func(net int) netip.Prefix { return netip.PrefixFrom(s.at(net, 1), s.bits) }
	s.web = s.connect("ovs-e", router(5), s.at(5, 8), true)
	s.sibling = s.join("ovs-e", router(5), s.at(5, 9))
	s.second = s.connect("ovs-9", router(9), s.at(9, 8), true)
	s.routed = s.connect("ovs-f", router(6), s.at(6, 8), true)
	s.outside = s.connect("eth0", router(1), s.at(1, 8), false)
	s.host = away{s.home, s.at(1, 1)}
	s.nets = []spec.Network{dualE, dualF, network("9", spec.NAT, router(9).String())}
	s.apply(s.nets...)
	must(t, s.EnsureForwarding(s.ctx, s.nets))
	for _, a := range []away{s.web, s.routed} {
		s.serve(a, 7)
	}
	return s
}

// publish makes one endpoint's ports: each "proto host port", to port 7.
func (s *scene) publish(id int, n spec.Network, to netip.Addr, ports ...string) spec.Endpoint {
	s.Helper()
	e := spec.Endpoint{ID: endpointID(id), Network: n.ID}
	for _, p := range ports {
		f := strings.Fields(p)
		number, err := strconv.ParseUint(f[2], 10, 16)
		must(s, err)
		e.Published = append(e.Published, spec.Published{Proto: spec.Proto(f[0]), HostIP: netip.MustParseAddr(f[1]), HostPort: uint16(number), To: netip.AddrPortFrom(to, 7)})
	}
	must(s, s.Publish(s.ctx, n, e))
	return e
}

func eachScene(t *testing.T, f func(*testing.T, *scene)) {
	for _, flavour := range flavours {
		for name, prefix := range map[string]string{"IPv4": "10.%d.0.%d", "IPv6": "fd00:%d::%d"} {
			t.Run(flavour+"/"+name, func(t *testing.T) { f(t, newScene(t, flavour, prefix)) })
		}
	}
}

// The table: who reaches a published port by which address of the host, and as
// whom the container sees them.
func TestPublishedPackets(t *testing.T) {
	eachScene(t, func(t *testing.T, s *scene) {
		wildcard, loopback := "0.0.0.0", "127.0.0.1"
		if s.bits == 64 {
			wildcard, loopback = "::", "::1"
		}
		lan, gateway, other, routed := s.at(1, 1), s.at(5, 1), s.at(9, 1), s.at(6, 1)
		var ports, routedPorts []string
		for _, proto := range []spec.Proto{spec.TCP, spec.UDP} {
			ports = append(ports, fmt.Sprintf("%s %s 8080", proto, wildcard), fmt.Sprintf("%s %s 8081", proto, lan), fmt.Sprintf("%s %s 8082", proto, loopback))
			routedPorts = append(routedPorts, fmt.Sprintf("%s %s 8090", proto, wildcard))
		}
		s.publish(1, dualE, s.web.addr, ports...)
		s.publish(2, dualF, s.routed.addr, routedPorts...)
		const no = "refused"
		fromLoopback := gateway.String()
		if s.bits == 64 {
			fromLoopback = no
		}
		for _, c := range []struct {
			what string
			from away
			to   netip.Addr
			port int
			want string
		}{
			{"from outside", s.outside, lan, 8080, s.outside.addr.String()},
			{"from outside to another address of the host", s.outside, gateway, 8080, s.outside.addr.String()},
			{"from outside to one address", s.outside, lan, 8081, s.outside.addr.String()},
			{"from outside to an address where it is not", s.outside, gateway, 8081, no},
			{"from outside to what is for the host alone", s.outside, lan, 8082, no},
			{"from outside to a routed network's", s.outside, lan, 8090, s.outside.addr.String()},
			{"from the host", s.host, lan, 8080, lan.String()},
			{"from the host to the gateway", s.host, gateway, 8080, gateway.String()},
			{"from the host's loopback", s.host, netip.MustParseAddr(loopback), 8080, fromLoopback},
			{"from the host's loopback, for the host alone", s.host, netip.MustParseAddr(loopback), 8082, fromLoopback},
			{"from the host's loopback to one address", s.host, netip.MustParseAddr(loopback), 8081, no},
			{"from itself", s.web, lan, 8080, gateway.String()},
			{"from itself to its gateway", s.web, gateway, 8080, gateway.String()},
			{"from another of its network", s.sibling, lan, 8080, gateway.String()},
			{"from another of its network to the gateway", s.sibling, gateway, 8080, gateway.String()},
			{"from another nat network", s.second, lan, 8080, gateway.String()},
			{"from another nat network to its own gateway", s.second, other, 8080, gateway.String()},
			{"from another nat network to a routed network's", s.second, other, 8090, routed.String()},
			{"from a routed network", s.routed, lan, 8080, s.routed.addr.String()},
			{"from a routed network to its own", s.routed, lan, 8090, routed.String()},
			{"to what is not published", s.outside, lan, 8083, no},
		} {
			for _, proto := range []spec.Proto{spec.TCP, spec.UDP} {
				got, err := s.ask(c.from, proto, netip.AddrPortFrom(c.to, uint16(c.port)).String())
				if errors.Is(err, unix.ECONNREFUSED) {
					got = no
				}
				if got != c.want {
					t.Errorf("%s, %s: %q (%v), want %q", c.what, proto, got, err, c.want)
				}
			}
		}
		if t.Failed() {
			t.Log(s.counters())
		}
		must(t, s.Unpublish(s.ctx, endpointID(1)))
		for _, proto := range []spec.Proto{spec.TCP, spec.UDP} {
			if got, err := s.ask(s.outside, proto, netip.AddrPortFrom(lan, 8080).String()); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s after Unpublish: %q, %v", proto, got, err)
			}
		}
	})
}
