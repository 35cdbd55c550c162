// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dovesnap/e2e/host"
)

// BenchmarkPublished is the part of `make bench` that takes one more published port
// beside none and beside 500 others of the same driver, as long as nobody's proxies
// run (--userland-proxy=false): what is left are the rules, in both flavours.
func BenchmarkPublished(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for _, flavour := range []string{"nft", "legacy"} {
		benchPublished(b, flavour)
	}
}

func benchPublished(b *testing.B, flavour string) {
	suite := cmp.Or(os.Getenv("DOVESNAP_BENCH_SUITE"), "trixie")
	h := newHost(b, suite)
	for _, command := range []string{"iptables", "ip6tables"} {
		h.run("update-alternatives", "--set", command, "/usr/sbin/"+command+"-"+flavour)
	}
	bn := &bench{testHost: h, report: &report{title: suite + ", published ports, iptables-" + flavour}, binary: filepath.Join(buildDir, "dovesnap-bench")}
	if err := host.Build(b.Context(), "..", false, "build", "-trimpath", "-o", bn.binary, "."); err != nil {
		b.Fatal(err)
	}
	bn.startDovesnap()
	h.dockerd("--userland-proxy=false")
	networks := []contender{contenders[0], contenders[1]}
	for _, c := range networks {
		h.run("sh", "-c", "docker network create "+c.network+" "+c.create)
		h.docker("run", "--rm", "--net="+c.network, "-p", "80", "busybox", "true") // what is slow only once
	}
	const rounds, others = 9, 500
	run := func(more ...string) map[string]samples {
		of := map[string]samples{}
		for round := range rounds * b.N {
			for i := range networks {
				c := networks[(round+i)%2]
				add(of, c, took(func() { bn.container("one", c.network, more...) }))
				bn.settle()
				bn.docker("rm", "-f", "one")
				bn.settle()
			}
		}
		return of
	}
	plain, alone := run(), run("-p", "80")
	crowd := map[string]samples{}
	for i, c := range networks {
		first := 20000 + 1000*i
		ports := fmt.Sprintf("%d-%d:%[1]d-%[2]d", first, first+others-1)
		add(crowd, c, took(func() { bn.container("crowd-"+c.network, c.network, "-p", ports) }))
	}
	after, beside := run(), run("-p", "80")

	t := bn.report.table(fmt.Sprintf("docker run -d, ms: median and quartiles of %d", rounds*b.N), "Docker's bridge", "ovs", "ratio", "goal")
	t.compare("without a port", plain, quartiles, "")
	t.compare("with its only port", alone, quartiles, "")
	t.compare(fmt.Sprintf("without a port, beside %d", others), after, quartiles, "")
	t.compare(fmt.Sprintf("with one, beside %d", others), beside, quartiles, "as without them")
	t.compare(fmt.Sprintf("with %d (once)", others), crowd, quartiles, "")
	bn.report.print(os.Stdout)
}
