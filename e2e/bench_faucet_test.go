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

// BenchmarkFaucetFile is the part of `make bench` that takes a Faucet whose file
// dovesnap writes: how soon a container has its network, with the default ACL and
// with one of its own that Faucet must first be told of (by a HUP).
func BenchmarkFaucetFile(b *testing.B) {
	suite := cmp.Or(os.Getenv("DOVESNAP_BENCH_SUITE"), "trixie")
	b.ReportMetric(0, "ns/op")
	h := newHost(b, suite)
	bn := &bench{testHost: h, report: &report{title: suite + ", faucet.mode file"}, binary: filepath.Join(buildDir, "dovesnap-bench")}
	defer bn.report.print(os.Stdout)
	if err := host.Build(b.Context(), "..", false, "build", "-trimpath", "-o", bn.binary, "."); err != nil {
		b.Fatal(err)
	}
	h.dockerd()
	h.faucet(operatorYAML + "  also-open: [{rule: {actions: {allow: true}}}]\n")
	if err := h.Install(bn.binary, host.Program); err != nil {
		b.Fatal(err)
	}
	h.run(host.Program, "faucet", "init")
	var err error
	if bn.dovesnap, err = bn.StartDovesnap(bn.ctx, bn.binary, managedFile...); err != nil {
		b.Fatal(err)
	}
	h.createManaged("managed", 22, "-o", "ovs.bridge.default_acl=open")
	h.reaches(h.container("first", "managed"), "172.22.0.1")
	const rounds = 12
	kinds := []struct{ name, label string }{{"default ACL", "a=b"}, {"an ACL of its own", "dovesnap.faucet.portacl=also-open"}}
	results := map[string]samples{}
	for range b.N {
		for range rounds {
			for _, k := range kinds {
				results[k.name] = append(results[k.name], bn.pingAfter(k.label))
			}
		}
	}
	t := bn.report.table(fmt.Sprintf("first answer of the gateway after docker run returned, ms: median and slowest of %d", rounds*b.N), "ms", "goal")
	for _, k := range kinds {
		goal := "< 50"
		if k.label != "a=b" {
			goal = "< 500"
		}
		t.row(k.name, most(results[k.name]), goal)
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
