// SPDX-License-Identifier: Apache-2.0

package link

import (
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// The host's connections survive its interface's way into a bridge and out again.
// How many pings are lost meanwhile is told, not judged.
func TestMigrationKeepsConnections(t *testing.T) {
	n, l, lan := migrating(t)
	ctx := deadline(t)
	ip(t, "addr add 192.0.2.5/24 dev eth7", "addr add 2001:db8::5/64 dev eth7 nodad", "route add default via 192.0.2.1 dev eth7")
	var conns []net.Conn
	for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
		var server net.Listener
		var err error
		inside(t, lan, func() { server, err = net.Listen("tcp", net.JoinHostPort(address, "7")) })
		must(t, err)
		defer server.Close()
		go func() {
			if conn, err := server.Accept(); err == nil {
				_, _ = io.Copy(conn, conn)
			}
		}()
		conn, err := net.Dial("tcp", server.Addr().String())
		must(t, err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	pings := pinging(t, func(f func()) { inside(t, lan, f) }, "192.0.2.5:7")
	pings.goOn(t, 5)
	stage := func(name string, work func()) {
		begin, lost := time.Now(), pings.lost()
		work()
		took := time.Since(begin)
		for _, c := range conns {
			must(t, c.SetDeadline(time.Now().Add(15*time.Second)))
			_, err := c.Write([]byte(name))
			must(t, err)
			_, err = io.ReadFull(c, make([]byte, len(name)))
			must(t, err)
		}
		pings.goOn(t, 5)
		t.Logf("%s: took %s, lost %d pings of one each %s", name, took, pings.lost()-lost, pingInterval)
	}
	stage("there", func() { plug(t); must(t, ensure(l, ctx, n)) })
	stage("again", func() { must(t, ensure(l, ctx, n)) })
	stage("back", func() { removed(t, l, n) })
}

const pingInterval = 20 * time.Millisecond

// pinger sends a datagram each interval and counts the answers.
type pinger struct{ sent, answered atomic.Int64 }

func (p *pinger) lost() int64 { return p.sent.Load() - p.answered.Load() }

// pinging pings the address of an echo service in the test's network namespace,
// from where within runs a function, until the test ends.
func pinging(t testing.TB, within func(func()), address string) *pinger {
	t.Helper()
	echo, err := net.ListenPacket("udp", address)
	must(t, err)
	var conn net.Conn
	within(func() { conn, err = net.Dial("udp", address) })
	must(t, err)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); echo.Close(); conn.Close() })
	p := &pinger{}
	go func() {
		buf := make([]byte, 64)
		for {
			size, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(buf[:size], from)
		}
	}()
	go func() {
		buf := make([]byte, 64)
		for {
			if _, err := conn.Read(buf); err == nil {
				p.answered.Add(1)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	go func() {
		tick := time.NewTicker(pingInterval)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = conn.Write([]byte("ping"))
				p.sent.Add(1)
			}
		}
	}()
	return p
}

// goOn waits for some more answers.
func (p *pinger) goOn(t testing.TB, more int64) {
	t.Helper()
	ctx, want := deadline(t), p.answered.Load()+more
	for p.answered.Load() < want {
		select {
		case <-ctx.Done():
			t.Fatal("pings are not answered")
		case <-time.After(pingInterval):
		}
	}
}

// A gateway can be used when EnsureGateway returns, by both families, and answers
// neighbour discovery in the bridge's place: here its link is a veth.
func TestGatewayUsableAtOnce(t *testing.T) {
	newNetns(t)
	there := sibling(t)
	ip(t, "link add br9 type veth peer peer0")
	must(t, netlink.LinkSetNsFd(byName(t, "peer0"), int(there)))
	inside(t, there, func() {
		ip(t, "addr add 172.12.0.2/24 dev peer0", "addr add fd00:12::2/64 dev peer0 nodad", "link set peer0 up")
	})
	n := spec.Network{ID: networkID, Bridge: "br9", Mode: spec.NAT, Subnets: subnets("172.12.0.1/24", "fd00:12::1/64")}
	must(t, ensure(newLinks(), deadline(t), n))
	for _, gateway := range []string{"172.12.0.1", "fd00:12::1"} {
		server, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
		must(t, err)
		defer server.Close()
		inside(t, there, func() {
			conn, err := net.DialTimeout("tcp", server.Addr().String(), 10*time.Second)
			must(t, err)
			must(t, conn.Close())
		})
	}
	before := run(t, "ip addr show dev br9") + run(t, "ip route show table all dev br9")
	must(t, ensure(newLinks(), deadline(t), n))
	if after := run(t, "ip addr show dev br9") + run(t, "ip route show table all dev br9"); after != before {
		t.Errorf("the second time changes something:\n%s\n%s", before, after)
	}
}

// A host that only speaks IPv6 there.
func TestEnsureGatewayIPv6Only(t *testing.T) {
	for _, mode := range []spec.Mode{spec.NAT, spec.Routed, spec.Flat} {
		t.Run(string(mode), func(t *testing.T) {
			newNetns(t)
			addBridge(t, "br9")
			n := spec.Network{Bridge: "br9", Mode: mode, Subnets: subnets("fd00:12::1/64")}
			for range 2 {
				must(t, ensure(newLinks(), deadline(t), n))
			}
			want, dad := "1", "1"
			if mode != spec.Flat {
				want, dad = "0", "0"
			}
			if off, accept := sysctl(t, "br9", "disable_ipv6"), sysctl(t, "br9", "accept_dad"); off != want || accept != dad {
				t.Errorf("disable_ipv6 is %s, accept_dad %s", off, accept)
			}
			addrs, err := netlink.AddrList(byName(t, "br9"), netlink.FAMILY_ALL)
			must(t, err)
			for _, a := range addrs {
				if mode == spec.Flat || a.IP.To4() != nil {
					t.Error("has the address", a)
				}
			}
		})
	}
}

func TestCheckIPv6(t *testing.T) {
	newNetns(t)
	addBridge(t, "lan0")
	addAddress(t, "lan0", "2001:db8:7::1/64")
	l, ctx := newLinks(), deadline(t)
	n := spec.Network{Bridge: "br0", Mode: spec.NAT, Subnets: subnets("172.12.0.1/24", "2001:db8:7::1/80")}
	wantError(t, l.CheckNetwork(ctx, n), "subnet 2001:db8:7::/80 overlaps 2001:db8:7::1/64", "(lan0)")
	n.Subnets, n.MTU = subnets("fd00:12::1/64"), 1279
	wantError(t, l.CheckNetwork(ctx, n), "IPv6 needs an MTU of at least 1280")
	n.MTU = 1280
	must(t, l.CheckNetwork(ctx, n))
}

func TestAnnouncements(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0x5e, 0, 0x53, 7}
	if got := gratuitousARP(mac, netip.MustParseAddr("192.0.2.5")); len(got) != 28 || got[7] != 1 {
		t.Errorf("ARP: %x", got)
	}
	na := unsolicitedNA(mac, netip.MustParseAddr("2001:db8::5"), true)
	sum := append(append([]byte{}, na[8:40]...), 0, 0, 0, 32, 0, 0, 0, 58)
	if len(na) != 72 || na[44] != 0xa0 || checksum(append(sum, na[40:]...)) != 0 {
		t.Errorf("neighbour advertisement: %x", na)
	}
}
