// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// in returns a shell command line that runs command in a container's network, or
// in the guest's own if container is "". It goes around Docker, whose own exec
// would end with dockerd.
func in(container, command string) string {
	if container == "" {
		return "exec " + command
	}
	return fmt.Sprintf("pid=$(docker inspect -f '{{.State.Pid}}' %s) || exit; exec nsenter -t $pid -n %s", container, command)
}

// A Ping sends an echo request every 20 ms.
type Ping struct {
	task *Task
	what string
}

// Pings is what came of it.
type Pings struct {
	Sent       int
	Lost       []int // their sequence numbers, from 1
	Duplicates int
	answered   map[int]time.Time
}

func (p Pings) String() string {
	return fmt.Sprintf("%d of %d pings lost%s, %d duplicates", len(p.Lost), p.Sent, p.gaps(), p.Duplicates)
}

// gaps tells how many were lost in a row and when, by the clock of the guest's
// journal: between which two answers.
func (p Pings) gaps() string {
	var b strings.Builder
	for i := 0; i < len(p.Lost); {
		first, n := p.Lost[i], 1
		for i+n < len(p.Lost) && p.Lost[i+n] == first+n {
			n++
		}
		i += n
		fmt.Fprintf(&b, ", %d after %s", n, p.at(first-1))
		if first+n <= p.Sent {
			fmt.Fprintf(&b, " until %s", p.at(first+n))
		}
	}
	return b.String()
}

func (p Pings) at(seq int) string {
	if at, ok := p.answered[seq]; ok {
		return at.UTC().Format("15:04:05.000")
	}
	return "?"
}

// Ping starts to ping an address from a container ("": from the guest), and
// returns when the first answer is there.
func (g *Guest) Ping(container, address string) *Ping {
	g.t.Helper()
	p := &Ping{what: container + " to " + address}
	// -n: no names, and so no waiting for them; -D: when.
	p.task = g.Go(in(container, "ping -n -D -i 0.02 "+address))
	if err := p.task.await(Patience, func(out string) bool { return len(answers(out)) > 0 }); err != nil {
		p.task.g.t.Fatalf("no answer to pings from %s: %v; it printed:\n%s", p.what, err, p.task.Output())
	}
	return p
}

// Continue returns when n more pings were answered: whatever is to happen to the
// network late has had time to.
func (p *Ping) Continue(n int) {
	p.task.g.t.Helper()
	before := len(answers(p.task.Output()))
	if err := p.task.await(Patience, func(out string) bool { return len(answers(out)) >= before+n }); err != nil {
		out, _ := p.task.Stop(syscall.SIGINT)
		p.task.g.t.Fatalf("%s: %d more answers did not come: %v: %s", p.what, n, err, count(out))
	}
}

// Stop ends the pings and tells what came of them. A ping that was sent just
// before is no loss: one more is awaited, and those after it do not count.
func (p *Ping) Stop() Pings {
	p.task.g.t.Helper()
	highest := 0
	for seq := range answers(p.task.Output()) {
		highest = max(highest, seq)
	}
	// A handful more than the highest: sent after this moment for certain.
	_ = p.task.await(20*time.Second, func(out string) bool {
		for seq := range answers(out) {
			if seq > highest+5 {
				return true
			}
		}
		return false
	}) // if none comes, the summary tells how many were sent for nothing
	out, _ := p.task.Stop(syscall.SIGINT)
	return count(out)
}

// NoneLost stops the pings and fails the test if one was lost or doubled.
func (p *Ping) NoneLost() {
	p.task.g.t.Helper()
	got := p.Stop()
	if len(got.Lost) > 0 || got.Duplicates > 0 {
		p.task.g.t.Errorf("%s: %s", p.what, got)
		return
	}
	p.task.g.t.Logf("%s: %s", p.what, got)
}

var (
	answer  = regexp.MustCompile(`(?m)^\[(\d+)\.(\d{6})\] .*icmp_seq=(\d+) ttl=`)
	summary = regexp.MustCompile(`(\d+) packets transmitted`)
)

// answers returns when each sequence number was answered, for every time it was.
func answers(out string) map[int][]time.Time {
	seqs := map[int][]time.Time{}
	// ping numbers with 16 bits (RFC 792), and starts again at 0.
	wraps, last := 0, 0
	for _, match := range answer.FindAllStringSubmatch(out, -1) {
		// Digits all of them.
		seconds, _ := strconv.ParseInt(match[1], 10, 64)
		micros, _ := strconv.ParseInt(match[2], 10, 64)
		seq, _ := strconv.Atoi(match[3])
		if seq < last-1<<15 {
			wraps++
		}
		last = seq
		seqs[seq+wraps<<16] = append(seqs[seq+wraps<<16], time.Unix(seconds, micros*1000))
	}
	return seqs
}

// count evaluates what ping printed.
func count(out string) Pings {
	p := Pings{answered: map[int]time.Time{}}
	for seq, times := range answers(out) {
		p.Sent = max(p.Sent, seq)
		p.Duplicates += len(times) - 1
		p.answered[seq] = times[0]
	}
	// The last few may be on their way. More than that have not come back.
	if match := summary.FindStringSubmatch(out); match != nil {
		if sent, _ := strconv.Atoi(match[1]); sent > p.Sent+50 {
			p.Sent = sent
		}
	}
	for seq := 1; seq <= p.Sent; seq++ {
		if p.answered[seq].IsZero() {
			p.Lost = append(p.Lost, seq)
		}
	}
	return p
}

// A Stream is a TCP connection on which numbers go forth and back.
type Stream struct {
	server, client *Task
	what           string
}

// Streamed is what came of it.
type Streamed struct {
	Numbers     uint64 // sent, and come back unchanged and in order
	Retransmits int    // segments that the sender's kernel sent again
	Error       string // why the connection broke, or what came back wrong
}

// Stream connects a container ("": the guest) to a port of another at address, and
// returns when the first bytes have come back.
func (g *Guest) Stream(from, to, address string, port int) *Stream {
	g.t.Helper()
	return g.StreamTo(g, from, to, address, port)
}

// StreamTo is Stream to a container of another guest.
func (g *Guest) StreamTo(other *Guest, from, to, address string, port int) *Stream {
	g.t.Helper()
	s := &Stream{what: fmt.Sprintf("stream from %s to %s", from, to)}
	s.server = other.Go(in(to, fmt.Sprintf("stream serve %d", port)))
	if err := s.server.await(Patience, says("listening")); err != nil {
		g.t.Fatalf("%s: %v: %s", s.what, err, s.server.Output())
	}
	s.client = g.Go(in(from, fmt.Sprintf("stream send %s:%d", address, port)))
	if err := s.client.await(Patience, says("answered")); err != nil {
		g.t.Fatalf("%s: %v: %s", s.what, err, s.client.Output())
	}
	return s
}

func says(word string) func(string) bool {
	return func(out string) bool { return strings.Contains(out, word) }
}

// Stop ends the connection, when all that was sent has come back.
func (s *Stream) Stop() Streamed {
	s.client.g.t.Helper()
	out, _ := s.client.Stop(syscall.SIGINT)
	s.server.Stop(syscall.SIGKILL)
	var res Streamed
	last := out[strings.LastIndex(out, "\n")+1:]
	if err := json.Unmarshal([]byte(last), &res); err != nil {
		s.client.g.t.Fatalf("cannot read result of %s: %v: %s", s.what, err, out)
	}
	return res
}

// Unbroken stops the connection and fails the test if it broke or a byte was lost
// or changed. Segments that were sent again are only told: on a machine as slow as
// this one, TCP also repeats what was merely late.
func (s *Stream) Unbroken() {
	s.client.g.t.Helper()
	res := s.Stop()
	s.client.g.t.Logf("%s: %d numbers, %d segments sent again", s.what, res.Numbers, res.Retransmits)
	if res.Error != "" {
		s.client.g.t.Errorf("%s: broken after %d numbers: %s", s.what, res.Numbers, res.Error)
	}
}
