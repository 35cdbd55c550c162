// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	wire "encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dovesnap/e2e/host"
)

// A pinger sends ICMP echo requests from a container's network namespace. It is
// this process and not a ping(8) started there, so that no start of a program
// is measured with it, and packets are told by their own numbers.
type pinger struct {
	conn net.PacketConn
	to   net.Addr
}

// newPinger opens a pinger in the network namespace at path, a file of the host.
func (h *testHost) newPinger(path, to string) (*pinger, error) {
	p := &pinger{to: &net.IPAddr{IP: net.ParseIP(to)}}
	return p, h.Files(func() error { // on a thread of its own, whose end this one shares
		ns, err := os.Open(path)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter %q: %w", path, err)
		}
		p.conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
}

// A trace is when each request was sent and answered; zero: it was not.
type trace struct{ sent, answered []time.Time }

// ping sends a request every interval until done says so, and then waits a
// second more for answers. Done is asked before each request.
func (p *pinger) ping(interval time.Duration, done func(trace) bool) trace {
	const late = time.Second
	defer p.conn.Close()
	var t trace
	id := uint16(os.Getpid())
	began := time.Now()
	for !done(t) {
		// A request that cannot be sent is one that is not answered.
		t.sent = append(t.sent, time.Now())
		t.answered = append(t.answered, time.Time{})
		_, _ = p.conn.WriteTo(echoRequest(id, uint16(len(t.sent)-1)), p.to)
		p.receive(id, &t, began.Add(time.Duration(len(t.sent))*interval))
	}
	if t.lost() > 0 {
		p.receive(id, &t, time.Now().Add(late))
	}
	return t
}

// receive notes answers until the time has come.
func (p *pinger) receive(id uint16, t *trace, until time.Time) {
	_ = p.conn.SetReadDeadline(until)
	packet := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(packet)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return
		case err != nil || n < 8 || packet[0] != 0 || wire.BigEndian.Uint16(packet[4:]) != id:
			continue // an error of an earlier request, or nothing of ours
		}
		if seq := int(wire.BigEndian.Uint16(packet[6:])); seq < len(t.answered) && t.answered[seq].IsZero() {
			t.answered[seq] = time.Now()
		}
	}
}

// echoRequest returns an ICMP message: RFC 792; checksum: RFC 1071.
func echoRequest(id, seq uint16) []byte {
	const request = 8 << 8 // type and code
	m := make([]byte, 8)
	wire.BigEndian.PutUint16(m, request)
	wire.BigEndian.PutUint16(m[4:], id)
	wire.BigEndian.PutUint16(m[6:], seq)
	sum := uint32(request) + uint32(id) + uint32(seq)
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	wire.BigEndian.PutUint16(m[2:], ^uint16(sum))
	return m
}

func (t trace) lost() int {
	n := 0
	for _, at := range t.answered {
		if at.IsZero() {
			n++
		}
	}
	return n
}

// silence returns the longest time between two answers.
func (t trace) silence() time.Duration {
	var longest time.Duration
	var last time.Time
	for _, at := range t.answered {
		if at.IsZero() {
			continue
		}
		if !last.IsZero() {
			longest = max(longest, at.Sub(last))
		}
		last = at
	}
	return longest
}

// first returns when the first answer came; zero: none has.
func (t trace) first() time.Time {
	var first time.Time
	for _, at := range t.answered {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// firstPing measures how soon a new container's network works. Once from the
// moment `docker run -d` has returned: the pinger is opened in the container's
// namespace before that, and its requests go out every millisecond from then
// on. And once as the container itself sees it, whose first act is a ping.
func (bn *bench) firstPing() {
	const rounds = 12
	returned, act := map[string]samples{}, map[string]samples{}
	turns(rounds, func(_ int, c contender) {
		before := bn.sandboxes()
		type opened struct {
			*pinger
			error
		}
		opening := make(chan opened, 1)
		go func() {
			p, err := bn.pingerInNext(before, c.gateway)
			opening <- opened{p, err}
		}()
		bn.container("one", c.network)
		began := time.Now()
		o := <-opening
		if o.error != nil {
			bn.t.Fatal(o.error)
		}
		t := o.ping(time.Millisecond, func(t trace) bool {
			return len(t.sent) > 0 && !t.answered[0].IsZero() || !t.first().IsZero() || time.Since(began) > patience
		})
		if t.first().IsZero() {
			bn.t.Fatalf("%s: no ping was answered", c.network)
		}
		add(returned, c, t.first().Sub(began))
		bn.docker("rm", "-f", "one")
		bn.settle()

		said := bn.docker("run", "--rm", "--net="+c.network, "busybox", "ping", "-c1", "-W20", c.gateway)
		_, rest, _ := strings.Cut(said, " time=")
		took, err := strconv.ParseFloat(strings.Fields(rest + " ?")[0], 64)
		if err != nil {
			bn.t.Fatalf("cannot read what ping says: %s", said)
		}
		act[c.network] = append(act[c.network], took)
		bn.settle()
	})
	slowest := func(s samples) float64 { return s.quantile(1) }
	t := bn.report.table(fmt.Sprintf("first ping to the gateway, ms, of %d", rounds), append(columns, "goal")...)
	t.compare("answered after docker run returned, median", "%.2f", each(returned, samples.median), "< 50")
	t.compare("… slowest", "%.2f", each(returned, slowest), "")
	t.compare("round trip, as the container's first act, median", "%.2f", each(act, samples.median), "")
	t.compare("… slowest", "%.2f", each(act, slowest), "")
}

const sandboxDir = "/run/docker/netns"

// sandboxes returns the network namespaces that Docker has made.
func (bn *bench) sandboxes() map[string]bool {
	names := map[string]bool{}
	_ = bn.Files(func() error {
		entries, err := os.ReadDir(sandboxDir)
		for _, e := range entries {
			names[e.Name()] = true
		}
		return err
	})
	return names
}

// pingerInNext waits for Docker to make one more and opens a pinger in it.
func (bn *bench) pingerInNext(before map[string]bool, to string) (p *pinger, err error) {
	err = host.Await(bn.ctx, "a new network namespace", func() error {
		for name := range bn.sandboxes() {
			if before[name] {
				continue
			}
			p, err = bn.newPinger(filepath.Join(sandboxDir, name), to)
			return err // a file that is not mounted on yet is none
		}
		return errors.New("there is none")
	})
	return p, err
}
