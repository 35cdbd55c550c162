// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dovesnap/e2e/host"
)

// BenchmarkFaucet is the part of `make bench` that takes a Faucet which dovesnap
// configures and tells (by a HUP): how soon a container has its network, with the
// default ACL and with one of its own that Faucet must first be told of.
func BenchmarkFaucet(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for _, mode := range []string{"file", "rpc"} {
		suite := cmp.Or(os.Getenv("DOVESNAP_BENCH_SUITE"), "trixie")
		h := newHost(b, suite)
		s := h.managed(mode, operatorYAML+"  also-open: [{rule: {actions: {allow: true}}}]\n")
		h.stop(s.daemon) // it has the race detector
		bn := &bench{testHost: h, report: &report{title: suite + ", faucet.mode " + mode}, binary: filepath.Join(buildDir, "dovesnap-bench")}
		if err := host.Build(b.Context(), "..", false, "build", "-trimpath", "-o", bn.binary, "."); err != nil {
			b.Fatal(err)
		}
		var err error
		if bn.dovesnap, err = bn.StartDovesnap(bn.ctx, bn.binary, s.flags()...); err != nil {
			b.Fatal(err)
		}
		bn.firstAnswers(b.N)
		bn.report.print(os.Stdout)
	}
}

// firstAnswers measures n times what BenchmarkFaucet is about.
func (bn *bench) firstAnswers(n int) {
	bn.createManaged("managed", 22, "-o", "ovs.bridge.default_acl=open")
	bn.reaches(bn.container("first", "managed"), "172.22.0.1")
	const rounds = 12
	kinds := []struct{ name, label, goal string }{
		{"default ACL", "a=b", "< 50"}, {"an ACL of its own", "dovesnap.faucet.portacl=also-open", "< 500"},
	}
	results := map[string]samples{}
	for range n * rounds {
		for _, k := range kinds {
			results[k.name] = append(results[k.name], bn.pingAfter(k.label))
		}
	}
	t := bn.report.table(fmt.Sprintf("first answer of the gateway after docker run returned, ms: median and slowest of %d", n*rounds), "ms", "goal")
	for _, k := range kinds {
		t.row(k.name, most(results[k.name]), k.goal)
	}
}

// pingAfter starts a container and returns how long after `docker run` has returned
// the gateway answers it.
func (bn *bench) pingAfter(label string) float64 {
	before := bn.sandboxes()
	type opened struct {
		*pinger
		error
	}
	opening := make(chan opened, 1)
	go func() {
		p, err := bn.pingerInNext(before, "172.22.0.1")
		opening <- opened{p, err}
	}()
	bn.container("one", "managed", "--label="+label)
	began := time.Now()
	o := <-opening
	if o.error != nil {
		bn.t.Fatal(o.error)
	}
	t := o.ping(time.Millisecond, func(t trace) bool { return !t.first().IsZero() || time.Since(began) > patience })
	if t.first().IsZero() {
		bn.t.Fatalf("label %s: no ping was answered", label)
	}
	ctx, cancel := context.WithTimeout(bn.ctx, patience)
	defer cancel()
	_, _ = bn.Run(ctx, "docker", "rm", "-f", "one")
	bn.settle()
	return float64(t.first().Sub(began)) / float64(time.Millisecond)
}
