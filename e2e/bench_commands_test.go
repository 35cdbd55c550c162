// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"dovesnap/e2e/host"
)

// commands measures what a person waits for.
func (bn *bench) commands() {
	const rounds = 15
	run, remove := map[string]samples{}, map[string]samples{}
	logged := bn.logSize()
	turns(rounds, func(_ int, c contender) {
		add(run, c, took(func() { bn.container("one", c.network) }))
		bn.settle()
		add(remove, c, took(func() { bn.docker("rm", "-f", "one") }))
		bn.settle()
	})
	t := bn.report.table(fmt.Sprintf("commands, ms: median and quartiles of %d", rounds), append(columns, "goal")...)
	t.compare("docker run -d", run, quartiles, "no slower")
	t.compare("docker rm -f", remove, quartiles, "no slower")

	create, drop := map[string]samples{}, map[string]samples{}
	const networks = 5
	turns(networks, func(_ int, c contender) {
		args := strings.NewReplacer("172.2", "172.3", "dpid=0x1", "dpid=0x2").Replace(c.create)
		add(create, c, took(func() { bn.docker(strings.Fields("network create again " + args)...) }))
		bn.settle()
		add(drop, c, took(func() { bn.docker("network", "rm", "again") }))
		bn.settle()
	})
	t.compare(fmt.Sprintf("docker network create (%d)", networks), create, quartiles, "")
	t.compare(fmt.Sprintf("docker network rm (%d)", networks), drop, quartiles, "")

	calls := bn.callsLogged(logged)
	t = bn.report.table("of which in dovesnap, ms", "p50", "p99", "calls")
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		s := calls[name]
		t.row(name, fmt.Sprintf("%.1f", s.median()), fmt.Sprintf("%.1f", s.quantile(0.99)), fmt.Sprint(len(s)))
	}
}

func add(to map[string]samples, c contender, d time.Duration) {
	s := to[c.network]
	s.ms(d)
	to[c.network] = s
}

func (bn *bench) logSize() int64 {
	info, err := os.Stat(bn.dovesnap.LogPath)
	if err != nil {
		bn.t.Fatal(err)
	}
	return info.Size()
}

// callsLogged returns how long dovesnap says that each of Docker's calls took,
// since its log had a size.
func (bn *bench) callsLogged(since int64) map[string]samples {
	calls := map[string]samples{}
	for _, line := range strings.Split(bn.dovesnap.Logged()[since:], "\n") {
		var said struct {
			Call string
			Took time.Duration
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Call != "" {
			s := calls[said.Call]
			s.ms(said.Took)
			calls[said.Call] = s
		}
	}
	return calls
}

// throughput measures one TCP stream between two containers of one network.
func (bn *bench) throughput() {
	const rounds, seconds = 3, "3"
	rate := map[string]samples{}
	turns(rounds, func(_ int, c contender) {
		one, two := bn.container("one", c.network), bn.container("two", c.network)
		server := must[*host.Process](bn.t)(bn.Start("iperf3", bn.inNetworkOf(two, "iperf3", "-s", "-1")...))
		address := bn.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", two)
		var out string
		eventually(bn.t, patience, "iperf3", func() (err error) {
			out, err = bn.try(bn.inNetworkOf(one, "iperf3", "-J", "-t", seconds, "-c", address)...)
			return err
		})
		var said struct {
			End struct {
				Received struct {
					Rate float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			}
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			bn.t.Fatalf("cannot read what iperf3 says: %v", err)
		}
		rate[c.network] = append(rate[c.network], said.End.Received.Rate/1e6)
		bn.kill(server)
		bn.docker("rm", "-f", one, two)
	})
	t := bn.report.table(fmt.Sprintf("iperf3, Mbit/s: median and quartiles of %d", rounds), columns...)
	t.compare("one TCP stream, "+seconds+" s", rate, quartiles, "")
}

// inNetworkOf returns the command that runs argv in a container's network, with
// the host's files.
func (bn *bench) inNetworkOf(container string, argv ...string) []string {
	return append([]string{"nsenter", "-n", "-t", bn.docker("inspect", "-f", "{{.State.Pid}}", container)}, argv...)
}
