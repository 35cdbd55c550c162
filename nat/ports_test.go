// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var (
	dual   = []netip.Prefix{netip.MustParsePrefix("10.5.0.8/24"), netip.MustParsePrefix("fd00:5::8/64")}
	single = dual[:1]
)

// endpointID returns an ID that differs from others' in its first digits.
func endpointID(n int) spec.EndpointID {
	return spec.EndpointID(fmt.Sprintf("%04x%s", n, strings.Repeat("e", 60)))
}

// newPorts returns a Ports in a network namespace of its own with the loopback up.
func newPorts(t *testing.T) *Ports {
	t.Helper()
	newNetns(t)
	command(t, "ip", "link", "set", "lo", "up")
	p := NewPorts(func(id spec.EndpointID) string { return "container web" + string(id[:4]) })
	t.Cleanup(func() {
		for id := range p.held {
			p.Release(id)
		}
	})
	return p
}

func asked(proto spec.Proto, ip string, first, last, port uint16) spec.PortMap {
	m := spec.PortMap{Proto: proto, HostPort: first, HostPortEnd: last, Port: port}
	if ip != "" {
		m.HostIP = netip.MustParseAddr(ip)
	}
	return m
}

func texts(published []spec.Published) (out []string) {
	for _, p := range published {
		out = append(out, p.String())
	}
	return out
}

func TestReserve(t *testing.T) {
	p := newPorts(t)
	must(t, setSysctl(localPortRange, "32768 32770"))
	for i, c := range []struct {
		m         spec.PortMap
		addresses []netip.Prefix
		want      []string
	}{
		{asked(spec.TCP, "", 80, 80, 8080), dual, []string{"0.0.0.0:80->10.5.0.8:8080/tcp", "[::]:80->[fd00:5::8]:8080/tcp"}},
		{asked(spec.UDP, "", 80, 80, 53), single, []string{"0.0.0.0:80->10.5.0.8:53/udp"}},
		{asked(spec.TCP, "0.0.0.0", 81, 81, 80), dual, []string{"0.0.0.0:81->10.5.0.8:80/tcp"}},
		{asked(spec.TCP, "::", 81, 81, 80), dual, []string{"[::]:81->[fd00:5::8]:80/tcp"}},
		{asked(spec.TCP, "127.0.0.1", 82, 82, 80), dual, []string{"127.0.0.1:82->10.5.0.8:80/tcp"}},
		{asked(spec.TCP, "127.0.0.2", 82, 82, 80), dual, []string{"127.0.0.2:82->10.5.0.8:80/tcp"}},
		{asked(spec.TCP, "", 80, 83, 80), single, []string{"0.0.0.0:83->10.5.0.8:80/tcp"}}, // 81 and 82 are partly taken
		{asked(spec.SCTP, "", 80, 80, 80), single, []string{"0.0.0.0:80->10.5.0.8:80/sctp"}},
		{asked(spec.TCP, "", 0, 0, 80), dual, []string{"0.0.0.0:32768->10.5.0.8:80/tcp", "[::]:32768->[fd00:5::8]:80/tcp"}},
		{asked(spec.TCP, "", 0, 0, 80), single, []string{"0.0.0.0:32769->10.5.0.8:80/tcp"}},
		{asked(spec.TCP, "", 0, 0, 80), single, []string{"0.0.0.0:32770->10.5.0.8:80/tcp"}},
	} {
		for range 2 { // asked again: the same
			got, err := p.Reserve(endpointID(i), []spec.PortMap{c.m}, c.addresses)
			must(t, err)
			if diff := cmp.Diff(c.want, texts(got)); diff != "" {
				t.Fatalf("%v: %s", c.m, diff)
			}
		}
	}
	_, err := p.Reserve("f", []spec.PortMap{asked(spec.TCP, "", 0, 0, 80)}, single)
	wantError(t, err, "cannot publish container port 80/tcp: no port of 32768-32770 is free", "it is in use by container web")
	p.Release(endpointID(9))
	got, err := p.Reserve("f", []spec.PortMap{asked(spec.TCP, "", 0, 0, 80)}, single)
	if err != nil || got[0].HostPort != 32769 {
		t.Error("a released port is not found again:", got, err)
	}
}

func TestReserveRefuses(t *testing.T) {
	p := newPorts(t)
	_, err := p.Reserve(endpointID(1), []spec.PortMap{asked(spec.TCP, "", 80, 80, 80), asked(spec.UDP, "127.0.0.1", 53, 53, 53)}, dual)
	must(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:90")
	must(t, err)
	defer l.Close()
	u, err := net.ListenPacket("udp6", "[::1]:90")
	must(t, err)
	defer u.Close()
	me := fmt.Sprintf("process %d (", os.Getpid())
	for _, c := range []struct {
		m    spec.PortMap
		want string
	}{
		{asked(spec.TCP, "", 80, 80, 1), "cannot publish port 0.0.0.0:80/tcp: it is in use by container web0001"},
		{asked(spec.TCP, "127.0.0.1", 80, 80, 1), "cannot publish port 127.0.0.1:80/tcp: it is in use by container web0001"},
		{asked(spec.TCP, "::", 80, 80, 1), "cannot publish port [::]:80/tcp: it is in use by container web0001"},
		{asked(spec.UDP, "", 53, 53, 1), "cannot publish port 0.0.0.0:53/udp: it is in use by container web0001"},
		{asked(spec.TCP, "", 90, 90, 1), "cannot publish port 0.0.0.0:90/tcp: it is in use by " + me},
		{asked(spec.UDP, "", 90, 90, 1), "cannot publish port [::]:90/udp: it is in use by " + me},
		{asked(spec.TCP, "192.0.2.9", 80, 80, 1), "cannot publish port 192.0.2.9:80/tcp: the host has no such address"},
		// No other port cures that: none is tried.
		{asked(spec.TCP, "192.0.2.9", 100, 60000, 1), "cannot publish port 192.0.2.9:100/tcp: the host has no such address"},
		{asked(spec.TCP, "192.0.2.9", 0, 0, 1), "cannot publish port 192.0.2.9:32768/tcp: the host has no such address"},
		{asked(spec.TCP, "", 80, 80, 1), "in use"},
	} {
		// The first of the two mappings must be free again afterwards.
		_, err := p.Reserve(endpointID(2), []spec.PortMap{asked(spec.TCP, "", 70, 70, 70), c.m}, dual)
		wantError(t, err, c.want)
	}
	_, err = p.Reserve(endpointID(2), []spec.PortMap{asked(spec.TCP, "::1", 70, 70, 1)}, single)
	wantError(t, err, "cannot publish port [::1]:70/tcp: the container has no address of that family")
	_, err = p.Reserve(endpointID(2), []spec.PortMap{asked(spec.TCP, "", 71, 71, 1), asked(spec.TCP, "", 71, 71, 2)}, single)
	wantError(t, err, "cannot publish port 0.0.0.0:71/tcp: the same container has it already")
	must(t, l.Close())
	_, err = p.Reserve(endpointID(2), []spec.PortMap{asked(spec.TCP, "", 70, 72, 1), asked(spec.TCP, "", 90, 90, 1)}, single)
	must(t, err)
}

// Another program must not get a held port, however it asks.
func TestHeldFromOthers(t *testing.T) {
	p := newPorts(t)
	maps := []spec.PortMap{asked(spec.TCP, "", 80, 80, 80), asked(spec.UDP, "", 80, 80, 80)}
	published, err := p.Reserve(endpointID(1), maps, dual)
	must(t, err)
	try := func() error { // net.Listen sets SO_REUSEADDR
		for _, address := range []string{":80", "127.0.0.1:80", "[::1]:80"} {
			if l, err := net.Listen("tcp", address); err == nil {
				l.Close()
				return fmt.Errorf("tcp %s was free", address)
			}
			if l, err := net.ListenPacket("udp", address); err == nil {
				l.Close()
				return fmt.Errorf("udp %s was free", address)
			}
		}
		return nil
	}
	must(t, try())
	p.Release(endpointID(1))
	if try() == nil {
		t.Error("held after Release")
	}
	must(t, p.Hold(endpointID(1), published))
	must(t, p.Hold(endpointID(1), published))
	must(t, try())
	// After a boot, an address may come later than we do.
	absent := endpoint(3, "tcp 192.0.2.9:81 10.5.0.8:80", "udp [2001:db8::9]:81 [fd00:5::8]:80")
	must(t, p.Hold(absent.ID, absent.Published))
	wantError(t, NewPorts(nil).Hold(endpointID(2), published[:1]), "cannot hold port 0.0.0.0:80/tcp: it is in use by another process")
}

// A server that was stopped leaves connections in TIME_WAIT, which must neither
// refuse its successor nor weaken the hold.
func TestReserveBesideTimeWait(t *testing.T) {
	p := newPorts(t)
	l, err := net.Listen("tcp4", "127.0.0.1:80")
	must(t, err)
	c, err := net.Dial("tcp4", "127.0.0.1:80")
	must(t, err)
	s, err := l.Accept()
	must(t, err)
	must(t, s.Close()) // who closes first has the TIME_WAIT
	must(t, c.Close())
	must(t, l.Close())
	if s, err := open(spec.TCP, netip.MustParseAddrPort("0.0.0.0:80"), false, false); err != unix.EADDRINUSE {
		s.close()
		t.Skip("no TIME_WAIT here: ", err)
	}
	_, err = p.Reserve(endpointID(1), []spec.PortMap{asked(spec.TCP, "", 80, 80, 80)}, single)
	must(t, err)
	if l, err := net.Listen("tcp4", "127.0.0.1:80"); err == nil {
		l.Close()
		t.Error("somebody else can have the port")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&net.Dialer{}).DialContext(ctx, "tcp4", "127.0.0.1:80"); err == nil {
		t.Error("the hold answers")
	}
}

// What somebody else had at the start is taken when it is free.
func TestHoldAgain(t *testing.T) {
	p := newPorts(t)
	before := openFiles(t)
	l, err := net.Listen("tcp4", "127.0.0.1:71")
	must(t, err)
	published := endpoint(1, "tcp 0.0.0.0:70 10.5.0.8:80", "tcp 0.0.0.0:71 10.5.0.8:81").Published
	for range 2 {
		wantError(t, p.Hold(endpointID(1), published), "cannot hold port 0.0.0.0:71/tcp: it is in use by process ")
	}
	must(t, l.Close())
	for range 2 {
		must(t, p.Hold(endpointID(1), published))
	}
	for _, port := range []string{"70", "71"} {
		if l, err := net.Listen("tcp4", "0.0.0.0:"+port); err == nil {
			l.Close()
			t.Errorf("port %s is anybody's", port)
		}
	}
	p.Release(endpointID(1))
	if now := openFiles(t); now != before {
		t.Errorf("%d files are open, were %d", now, before)
	}
}

// After a restart Docker may ask again for what is published: it stays where it is,
// though it would be chosen otherwise now.
func TestReserveWhatIsHeld(t *testing.T) {
	p := newPorts(t)
	must(t, setSysctl(localPortRange, "32768 32770"))
	held := endpoint(1, "tcp 0.0.0.0:32770 10.5.0.8:80", "tcp [::]:32770 [fd00:5::8]:80", "udp 127.0.0.1:71 10.5.0.8:53")
	maps := []spec.PortMap{asked(spec.TCP, "", 0, 0, 80), asked(spec.UDP, "127.0.0.1", 70, 72, 53)}
	must(t, p.Hold(held.ID, held.Published))
	got, err := p.Reserve(held.ID, maps, dual)
	must(t, err)
	if diff := cmp.Diff(texts(held.Published), texts(got)); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		maps      []spec.PortMap
		addresses []netip.Prefix
	}{
		{maps, single},
		{maps[:1], dual},
		{append(maps[:2:2], maps[1]), dual},
		{[]spec.PortMap{maps[1], maps[0]}, dual},
		{[]spec.PortMap{maps[0], asked(spec.UDP, "127.0.0.1", 72, 73, 53)}, dual},
		{[]spec.PortMap{maps[0], asked(spec.UDP, "127.0.0.1", 70, 72, 54)}, dual},
		{[]spec.PortMap{maps[0], asked(spec.TCP, "127.0.0.1", 70, 72, 53)}, dual},
		{[]spec.PortMap{maps[0], asked(spec.UDP, "", 70, 72, 53)}, dual},
	} {
		if fits(held.Published, c.maps, c.addresses) {
			t.Errorf("%v for %v is what was asked for as %v", held.Published, c.addresses, c.maps)
		}
	}
	if !fits(nil, nil, dual) {
		t.Error("nothing is not what was asked for with no mapping")
	}
}

// Many never get the same port, and give all of it back.
func TestReserveMany(t *testing.T) {
	const count = 200
	p := newPorts(t)
	before := openFiles(t)
	maps := []spec.PortMap{asked(spec.TCP, "", 0, 0, 80), asked(spec.UDP, "", 0, 0, 80), asked(spec.TCP, "", 10000, 11000, 80)}
	seen := map[string]bool{}
	for n := range count {
		published, err := p.Reserve(endpointID(n), maps, dual)
		must(t, err)
		for _, o := range published {
			key := string(o.Proto) + o.Host()
			if seen[key] {
				t.Error("twice:", key)
			}
			seen[key] = true
		}
	}
	if len(seen) != count*3*2 {
		t.Errorf("%d ports", len(seen))
	}
	for n := range count {
		p.Release(endpointID(n))
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d open files before, %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(files)
}

func TestParseHexAddress(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:0016": "[::1]:22",
		"0000000000000000FFFF00000100007F:0016": "127.0.0.1:22",
	} {
		if got, ok := parseHexAddress(text); !ok || got.String() != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, text := range []string{"", "x:1", "0100007F", "01:0016"} {
		if got, ok := parseHexAddress(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
