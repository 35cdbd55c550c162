// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// endpoint makes one of dualE's with ports: each "proto host-address:port
// container-address:port".
func endpoint(n int, ports ...string) spec.Endpoint {
	e := spec.Endpoint{ID: endpointID(n), Network: dualE.ID}
	for _, p := range ports {
		f := strings.Fields(p)
		host := netip.MustParseAddrPort(f[1])
		e.Published = append(e.Published, spec.Published{Proto: spec.Proto(f[0]), HostIP: host.Addr(), HostPort: host.Port(), To: netip.MustParseAddrPort(f[2])})
	}
	return e
}

// three makes an endpoint with three mappings of its own.
func three(n int) spec.Endpoint {
	to := fmt.Sprintf("10.5.0.%d:80", n%250+2)
	return endpoint(n,
		fmt.Sprintf("tcp 0.0.0.0:%d %s", 10000+3*n, to),
		fmt.Sprintf("tcp 0.0.0.0:%d %s", 10001+3*n, to),
		fmt.Sprintf("tcp [::]:%d [fd00:5::8]:80", 10000+3*n))
}

var (
	endpointA = endpoint(1,
		"tcp 0.0.0.0:8080 10.5.0.8:80", "tcp [::]:8080 [fd00:5::8]:80",
		"udp 192.0.2.1:53 10.5.0.8:5353", "sctp 127.0.0.1:9 10.5.0.8:9",
		"udp [2001:db8::1]:53 [fd00:5::8]:5353")
	endpointB = endpoint(2, "tcp 0.0.0.0:8081 10.5.0.9:80")
	routedOf  = func(e spec.Endpoint) spec.Endpoint { e.Network = dualF.ID; return e }
)

// What one by one made of it must be what Apply makes of it, and undo as well.
func TestPublishedGolden(t *testing.T) {
	friendE := dualE
	friendE.Name, friendE.AllowForward = "e", []string{"b"}
	namedB := natB
	namedB.Name = "b"
	openA := natA
	openA.AllowForward = []string{"all"}
	for _, c := range []struct {
		golden, stage string
		nets          []spec.Network
		endpoints     []spec.Endpoint
	}{
		{"published", "bare", []spec.Network{dualE, flatD}, []spec.Endpoint{endpointA, endpointB}},
		{"published-routed", "bare", []spec.Network{dualF}, []spec.Endpoint{routedOf(endpointA), routedOf(endpointB)}},
		{"published-docker20", "docker20", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"published-docker29nft", "docker29nft", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"published-firewall", "firewall", []spec.Network{dualE}, []spec.Endpoint{endpointB}},
		{"allow", "bare", []spec.Network{friendE, namedB, openA}, nil},
	} {
		for _, flavour := range flavours {
			t.Run(c.golden+"/"+flavour, func(t *testing.T) {
				h := newHost(t, flavour)
				h.restore(stages[c.stage])
				before := h.both()
				h.apply(c.nets...)
				none := h.both()
				must(t, h.Apply(h.ctx, c.nets, c.endpoints))
				whole := h.both()
				compareGolden(t, c.golden, whole)
				for _, e := range c.endpoints {
					must(t, h.Unpublish(h.ctx, e.ID))
					must(t, h.Unpublish(h.ctx, e.ID))
				}
				h.same("after Unpublish", none)
				for _, e := range c.endpoints {
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
				}
				h.same("one by one", whole)
				h.Table = h.table(flavour) // a restart
				must(t, h.Apply(h.ctx, c.nets, c.endpoints))
				h.same("after a restart", whole)
				for _, e := range c.endpoints {
					e.Published = nil
					must(t, h.Publish(h.ctx, networkOf(c.nets, e), e))
				}
				h.same("without ports", none)
				h.apply()
				h.same("at the end", before)
			})
		}
	}
}

func networkOf(nets []spec.Network, e spec.Endpoint) spec.Network {
	for _, n := range nets {
		if n.ID == e.Network {
			return n
		}
	}
	panic("no network of that endpoint")
}

// same checks what the host prints, and that Check and Apply agree with it.
func (h *host) same(when, want string) {
	h.Helper()
	if diff := cmp.Diff(want, h.both()); diff != "" {
		h.Errorf("%s: %s", when, diff)
	}
	if h.changed() {
		h.Errorf("%s: Check sees a change", when)
	}
}

// Hundreds come and go in any order, with a crash in between, and leave no trace.
func TestManyEndpoints(t *testing.T) {
	const count = 200
	eachFlavour(t, func(t *testing.T, h *host) {
		h.restore(stages["docker20"])
		nets := []spec.Network{dualE, natB}
		h.apply(nets...)
		before := h.both()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		type step struct {
			n      int
			remove bool
		}
		var steps []step
		for n := range count {
			steps = append(steps, step{n, false}, step{n, true})
		}
		random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		present := map[int]bool{}
		for _, s := range steps {
			if present[s.n] = !present[s.n]; present[s.n] { // whichever comes first adds
				must(t, h.Publish(h.ctx, dualE, three(s.n)))
			} else {
				must(t, h.Unpublish(h.ctx, endpointID(s.n)))
			}
		}
		h.same("all gone", before)
		for n := range 20 {
			must(t, h.Publish(h.ctx, dualE, three(n)))
		}
		h.Table = h.table(h.flavour) // a crash; these have ended meanwhile
		h.apply(nets...)
		h.same("orphans swept", before)
	})
}

func TestPublishedRepair(t *testing.T) {
	for name, damage := range map[string]string{
		"flush":             "iptables-F -t nat -F",
		"flush ours":        "iptables-F -t nat -F " + preChain,
		"one mapping":       "iptables-F -t nat -D " + chainOf(endpointA.ID) + " 1",
		"the jump":          "iptables-F -t nat -D PREROUTING -j " + preChain,
		"the other jump":    "iptables-F -t nat -D OUTPUT -j " + preChain,
		"jump to endpoint":  "iptables-F -t nat -D " + preChain + " -j " + chainOf(endpointA.ID),
		"IPv6":              "ip6tables-F -t nat -F",
		"DNAT of another's": "iptables-F -t nat -I " + preChain + " -p tcp --dport 1 -j DNAT --to 10.9.9.9",
		"ruleset":           "nft flush ruleset",
	} {
		t.Run(name, func(t *testing.T) {
			eachFlavour(t, func(t *testing.T, h *host) {
				if strings.HasPrefix(damage, "nft") && h.flavour != "nft" {
					t.Skip("legacy has no ruleset")
				}
				nets, endpoints := []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}
				must(t, h.Apply(h.ctx, nets, endpoints))
				before := h.both()
				h.changed()
				f := strings.Fields(strings.ReplaceAll(damage, "tables-F", "tables-"+h.flavour))
				command(t, f[0], f[1:]...)
				if !h.changed() {
					t.Fatal("Check does not see it")
				}
				must(t, h.Publish(h.ctx, dualE, endpointB)) // as it is: says nothing about the rest
				must(t, h.Apply(h.ctx, nets, endpoints))
				h.same("repaired", before)
			})
		})
	}
}

// A change of one endpoint on a host that somebody flushed repairs it all.
func TestPublishAfterFlush(t *testing.T) {
	eachFlavour(t, func(t *testing.T, h *host) {
		must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}))
		both := h.both()
		must(t, h.Unpublish(h.ctx, endpointB.ID))
		for _, flush := range []string{"-t nat -F", "-t nat -X", "-F", "-X"} {
			h.ipt(flush)
		}
		must(t, h.Publish(h.ctx, dualE, endpointB))
		must(t, h.Apply(h.ctx, []spec.Network{dualE}, []spec.Endpoint{endpointA, endpointB}))
		h.same("repaired", both)
	})
}

func TestPublishFlat(t *testing.T) {
	h := newHost(t, "nft")
	h.apply(flatD)
	wantError(t, h.Publish(h.ctx, flatD, endpointB), "cannot publish port 0.0.0.0:8081: the network's mode is flat")
	must(t, h.Publish(h.ctx, flatD, spec.Endpoint{ID: endpointB.ID, Network: flatD.ID}))
}

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
	for _, flavour := range flavours {
		t.Run(flavour, func(t *testing.T) {
			s := newScene(t, flavour, "10.%d.0.%d")
			s.publish(1, dualE, s.web.addr, "sctp 0.0.0.0 8080")
			open := func(a away) (fd int) {
				s.in(a, func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP) })
				must(t, err)
				t.Cleanup(func() { unix.Close(fd) })
				must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 20}))
				return fd
			}
			server := open(s.web)
			must(t, unix.Bind(server, &unix.SockaddrInet4{Port: 7, Addr: s.web.addr.As4()}))
			must(t, unix.Listen(server, 4))
			for _, from := range []away{s.outside, s.host, s.web, s.sibling, s.second} {
				if err := unix.Connect(open(from), &unix.SockaddrInet4{Port: 8080, Addr: s.at(1, 1).As4()}); err != nil {
					t.Errorf("from %s: %v", from.addr, err)
				}
			}
		})
	}
}
