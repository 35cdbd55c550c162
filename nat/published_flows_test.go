// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Packets to 127.0.0.1 from the wire must not be redirected: the neighbour would
// have what is for the host alone.
func TestLoopbackFromOutside(t *testing.T) {
	for _, flavour := range flavours {
		t.Run(flavour, func(t *testing.T) {
			s := newScene(t, flavour, "10.%d.0.%d")
			s.publish(1, dualE, s.web.addr, "udp 127.0.0.1 8082")
			if v := readSysctl(t, filepath.Join(ipv4Conf, "ovs-e", localnetKey)); v != "1" {
				t.Error("route_localnet is", v)
			}
			const drop = `-A ` + rawChain + ` -d 127\.0\.0\.0/8 .*-j DROP`
			for _, from := range []away{s.outside, s.sibling, s.second} {
				s.in(from, func() {
					must(t, setSysctl(filepath.Join(ipv4Conf, "eth0", localnetKey), "1"))
					command(t, "ip", "route", "add", "127.0.0.0/8", "dev", "eth0", "via", s.gatewayOf(from).String(), "onlink")
				})
				before := s.count(drop)
				var c net.Conn
				var err error
				s.in(from, func() {
					c, err = net.DialUDP("udp", &net.UDPAddr{IP: from.addr.AsSlice()}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8082})
				})
				must(t, err)
				_, err = c.Write([]byte("?"))
				must(t, err)
				for s.count(drop) == before {
					if s.ctx.Err() != nil {
						t.Fatal("nothing was dropped\n", s.counters())
					}
				}
				c.Close()
			}
			must(t, s.Unpublish(s.ctx, endpointID(1)))
			if v := readSysctl(t, filepath.Join(ipv4Conf, "ovs-e", localnetKey)); v != "0" {
				t.Error("route_localnet is left at", v)
			}
			if got := s.Sysctls(); len(got) != 2 || got[0].Key != "net.ipv4.ip_forward" || got[1].Key != "net.ipv6.conf.all.forwarding" {
				t.Errorf("changed: %+v", got)
			}
		})
	}
}

func (s *scene) gatewayOf(a away) netip.Addr {
	return netip.PrefixFrom(a.addr, s.bits).Masked().Addr().Next()
}

// A sender that never pauses must follow the port to its next container, and off
// the host.
func TestUDPFollows(t *testing.T) {
	eachScene(t, func(t *testing.T, s *scene) {
		wildcard := "0.0.0.0"
		if s.bits == 64 {
			wildcard = "::"
		}
		s.serve(s.sibling, 7)
		s.in(s.sibling, func() {}) // its answers come from its own address, redirected or not
		to := netip.AddrPortFrom(s.at(1, 1), 8080)
		var c *net.UDPConn
		var err error
		s.in(s.outside, func() { c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) })
		must(t, err)
		defer c.Close()
		ask := func() error {
			must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			_, err := c.Write([]byte("?"))
			must(t, err)
			_, err = c.Read(make([]byte, 64))
			return err
		}
		if err := ask(); err == nil {
			t.Fatal("answered before it was published")
		}
		s.publish(1, dualE, s.web.addr, "udp "+wildcard+" 8080")
		must(t, ask())
		must(t, s.Unpublish(s.ctx, endpointID(1)))
		s.publish(2, dualE, s.sibling.addr, "udp "+wildcard+" 8080")
		must(t, ask())
		if out, err := exec.Command("conntrack", "-L", "-p", "udp", "-f", map[int]string{24: "ipv4", 64: "ipv6"}[s.bits]).Output(); err == nil && !strings.Contains(string(out), "src="+s.sibling.addr.String()) {
			t.Errorf("the flow does not go to the new container: %s", out)
		}
		must(t, s.Unpublish(s.ctx, endpointID(2)))
		if err := ask(); err == nil {
			t.Error("answered after it was unpublished")
		}
	})
}

func TestPublishedSCTP(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		t.Skip("this kernel has no SCTP sockets; the golden files have the rule:", err)
	}
	unix.Close(fd)
	eachScene(t, func(t *testing.T, s *scene) {
		family, wildcard := unix.AF_INET, "0.0.0.0"
		at := func(a netip.Addr, port int) unix.Sockaddr { return &unix.SockaddrInet4{Port: port, Addr: a.As4()} }
		if s.bits == 64 {
			family, wildcard = unix.AF_INET6, "::"
			at = func(a netip.Addr, port int) unix.Sockaddr { return &unix.SockaddrInet6{Port: port, Addr: a.As16()} }
		}
		s.publish(1, dualE, s.web.addr, "sctp "+wildcard+" 8080")
		open := func(a away) (fd int) {
			var err error
			s.in(a, func() { fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP) })
			must(t, err)
			t.Cleanup(func() { unix.Close(fd) })
			must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 20}))
			return fd
		}
		server := open(s.web)
		must(t, unix.Bind(server, at(s.web.addr, 7)))
		must(t, unix.Listen(server, 8))
		for _, from := range []away{s.outside, s.host, s.web, s.sibling, s.second} {
			if err := unix.Connect(open(from), at(s.at(1, 1), 8080)); err != nil {
				t.Errorf("from %s: %v", from.addr, err)
			}
		}
	})
}
