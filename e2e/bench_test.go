// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovesnap/e2e/host"
)

// A bench is a host at work: dockerd, dovesnap as it is released (no race
// detector), Faucet, and one network of each contender.
type bench struct {
	*testHost
	report   *report
	binary   string
	dovesnap *host.Process
}

// A contender is a way to connect containers, by the name of its network.
type contender struct{ network, gateway, create string }

// contenders take turns; the first is what the others are compared with. The
// port numbers that faucetYAML covers are enough for what runs at one time.
var contenders = []contender{
	{"plain", "172.20.0.1", "--subnet 172.20.0.0/16 --gateway 172.20.0.1"},
	{"ovs", "172.21.0.1", "-d ovs -o ovs.bridge.mode=nat --subnet 172.21.0.0/16 --gateway 172.21.0.1"},
	{"faucet", "172.22.0.1", "-d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 -o ovs.bridge.controller=tcp:127.0.0.1:6653 --subnet 172.22.0.0/16 --gateway 172.22.0.1"},
}

// columns are the contenders' in the report, with what each is of the first.
var columns = []string{"Docker's bridge", "ovs", "ratio", "ovs + Faucet", "ratio"}

// BenchmarkBesideDocker is `make bench`: all measurements on one host, so that
// they compare. The figures are the report at its end; no figure fails it.
// DOVESNAP_BENCH_SUITE is the suite that the host is of.
func BenchmarkBesideDocker(b *testing.B) {
	suite := cmp.Or(os.Getenv("DOVESNAP_BENCH_SUITE"), "trixie")
	bn := newBench(b, suite)
	defer bn.report.print(os.Stdout)
	for _, m := range []struct {
		name    string
		measure func(*bench)
	}{
		{"commands", (*bench).commands},
		{"first ping", (*bench).firstPing},
		{"throughput", (*bench).throughput},
		{"driver calls", (*bench).driverCalls},
		{"kill", (*bench).kills},
	} {
		b.Run(m.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // says nothing: it is left out
			for range b.N {
				of := *bn
				of.testHost = bn.in(b)
				m.measure(&of)
				bn.dovesnap = of.dovesnap
			}
		})
	}
}

func newBench(b *testing.B, suite string) *bench {
	h := newHost(b, suite)
	bn := &bench{testHost: h, report: &report{}, binary: filepath.Join(buildDir, "dovesnap-bench")}
	if err := host.Build(b.Context(), "..", false, "build", "-trimpath", "-o", bn.binary, "."); err != nil {
		b.Fatal(err)
	}
	bn.startDovesnap()
	h.dockerd()
	h.faucet(faucetYAML)
	bn.report.title = fmt.Sprintf("%s: Docker %s, Open vSwitch %s", suite,
		h.docker("version", "--format={{.Server.Version}}"), h.run("ovs-vsctl", "--timeout=20", "get", "Open_vSwitch", ".", "ovs_version"))
	for _, c := range contenders {
		h.docker(strings.Fields("network create " + c.network + " " + c.create)...)
		h.docker("run", "--rm", "--net="+c.network, "busybox", "true") // what is slow only once
	}
	return bn
}

// startDovesnap starts it with the log that tells how long its calls took, and
// lets it keep endpoints that Docker has never heard of.
func (bn *bench) startDovesnap() {
	bn.t.Helper()
	var err error
	bn.dovesnap, err = bn.StartDovesnap(bn.ctx, bn.binary, "--log-level=debug", "--log-format=json", "--sweep-grace=24h")
	if err != nil {
		bn.t.Fatal(err)
	}
}

// turns calls do for each contender, rounds times; every round begins with
// another one, so that none always follows the same.
func turns(rounds int, do func(round int, c contender)) {
	for round := range rounds {
		for i := range contenders {
			do(round, contenders[(round+i)%len(contenders)])
		}
	}
}

// settle lets what the last command set off in the background come to its end,
// so that it does not count against the next one: dovesnap looks at Docker half
// a second after an event.
func (bn *bench) settle() {
	select {
	case <-bn.ctx.Done():
	case <-time.After(800 * time.Millisecond):
	}
}

// took returns how long do takes.
func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}
