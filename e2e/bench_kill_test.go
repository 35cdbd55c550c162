// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"sync"
	"time"
)

// kills measures what a ping every 20 ms, that runs between two containers,
// loses while a daemon is killed and comes back.
func (bn *bench) kills() {
	const rounds, interval = 5, 20 * time.Millisecond
	t := bn.report.table(fmt.Sprintf("kill -9 under a ping every %d ms, %d times", interval.Milliseconds(), rounds),
		"sent", "lost, median", "lost, most", "longest silence, ms", "goal")
	s := &site{testHost: bn.testHost}
	for _, c := range contenders[1:] {
		bn.container("one-"+c.network, c.network)
		bn.container("two-"+c.network, c.network)
		bn.reaches("one-"+c.network, "two-"+c.network)
	}
	for _, victim := range []struct {
		name, goal string
		kill       func()
	}{
		{"dovesnap", "0 lost", func() {
			bn.kill(bn.dovesnap)
			bn.startDovesnap()
		}},
		{"ovs-vswitchd", "", func() {
			pid := s.ovsPID("ovs-vswitchd")
			bn.run("kill", "-9", pid)
			s.replaced("ovs-vswitchd", pid)
		}},
	} {
		sent, lost, silence := map[string]int{}, map[string]samples{}, map[string]samples{}
		for range rounds {
			for network, t := range bn.pingDuring(interval, victim.kill) {
				sent[network] += len(t.sent)
				lost[network] = append(lost[network], float64(t.lost()))
				s := silence[network]
				s.ms(t.silence())
				silence[network] = s
			}
			// A dovesnap that sees one crash restarts it at once, and waits
			// longer with each: so every round is the first one of its dovesnap.
			bn.kill(bn.dovesnap)
			bn.startDovesnap()
			bn.works()
		}
		for _, c := range contenders[1:] {
			t.row(fmt.Sprintf("%s, network %s", victim.name, c.network), fmt.Sprint(sent[c.network]),
				fmt.Sprint(lost[c.network].median()), fmt.Sprint(lost[c.network].quantile(1)),
				fmt.Sprintf("%.0f", silence[c.network].quantile(1)), victim.goal)
		}
	}
}

// pingDuring pings on every network of ours, does something, and goes on until
// new containers work and a second more.
func (bn *bench) pingDuring(interval time.Duration, do func()) map[string]trace {
	var mu sync.Mutex
	var pinging sync.WaitGroup
	traces, over := map[string]trace{}, make(chan struct{})
	end := sync.OnceFunc(func() { close(over); pinging.Wait() })
	defer end() // also when something fails
	for _, c := range contenders[1:] {
		address := bn.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "two-"+c.network)
		p := must[*pinger](bn.t)(bn.newPinger(bn.docker("inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "one-"+c.network), address))
		answered := make(chan struct{})
		begun := sync.OnceFunc(func() { close(answered) })
		pinging.Add(1)
		go func() {
			defer pinging.Done()
			t := p.ping(interval, func(t trace) bool {
				if !t.first().IsZero() {
					begun()
				}
				select {
				case <-over:
					return true
				default:
					return false
				}
			})
			mu.Lock()
			defer mu.Unlock()
			traces[c.network] = t
		}()
		select {
		case <-answered:
		case <-time.After(patience):
			bn.t.Fatalf("%s: no ping was answered", c.network)
		}
	}
	do()
	bn.works()
	bn.settle()
	end()
	return traces
}

// works expects new containers of ours to start and reach their gateway.
func (bn *bench) works() {
	bn.t.Helper()
	for _, c := range contenders[1:] {
		bn.container("new", c.network)
		bn.reaches("new", c.gateway)
		bn.docker("rm", "-f", "new")
	}
}
