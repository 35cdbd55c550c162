// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	wire "encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
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
