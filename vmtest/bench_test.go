// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovesnap/vmtest/vm"
)

// BenchmarkKernelDatapath is `make vmbench`: what the kernel's datapath carries, and
// what an attachment to it costs. Under emulation only ratios mean something, and
// no figure fails it. DOVESNAP_BENCH_SUITE is the suite.
func BenchmarkKernelDatapath(b *testing.B) {
	suite := cmp.Or(os.Getenv("DOVESNAP_BENCH_SUITE"), "trixie")
	b.Run("throughput", func(b *testing.B) {
		b.ReportMetric(0, "ns/op") // says nothing: it is left out
		for range b.N {
			throughput(b, suite)
		}
	})
	b.Run("attach", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		for range b.N {
			attachCost(b, suite)
		}
	})
}

// throughput is that of one TCP stream between two containers of a network. The
// networks take turns, and each round begins with another one.
func throughput(b *testing.B, suite string) {
	const rounds = 7
	g := vm.Installed(b, suite)
	g.Faucet(faucetYAML)
	networks := []struct{ name, create string }{
		{"plain", ""},
		{"ovs", "-d ovs -o ovs.bridge.mode=nat"},
		{"faucet", "-d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 -o ovs.bridge.controller=tcp:127.0.0.1:6653"},
	}
	server := map[string]string{}
	for _, n := range networks {
		g.Sh(fmt.Sprintf(`docker network create %s %s
			docker run -d --name %[2]s-server --net %[2]s tools iperf3 -s
			docker run -td --name %[2]s-client --net %[2]s tools`, n.create, n.name))
		server[n.name] = address(g, n.name+"-server")
		g.Await("a ping on network "+n.name, fmt.Sprintf("docker exec %s-client ping -c 1 -W 1 %s", n.name, server[n.name]))
	}
	onKernel(g)
	rates := map[string][]float64{}
	for round := range rounds {
		for i := range networks {
			name := networks[(round+i)%len(networks)].name
			var result struct {
				End struct {
					Received struct {
						Rate float64 `json:"bits_per_second"`
					} `json:"sum_received"`
				}
			}
			out := g.Sh(fmt.Sprintf("docker exec %s-client iperf3 -J -t 5 -c %s", name, server[name]))
			if err := json.Unmarshal([]byte(out), &result); err != nil {
				b.Fatal(err)
			}
			rates[name] = append(rates[name], result.End.Received.Rate/1e6)
		}
	}
	fmt.Printf("\n%s: one TCP stream, Mbit/s, median (quartiles) of %d, and ratio to Docker's bridge\n", suite, rounds)
	for _, n := range networks {
		r := rates[n.name]
		fmt.Printf("%-8s %5.0f (%.0f–%.0f)  %.2f\n", n.name, quantile(r, 0.5), quantile(r, 0.25), quantile(r, 0.75),
			quantile(r, 0.5)/quantile(rates["plain"], 0.5))
	}
}

// attachCost is what the driver's calls for one more endpoint take beside few and
// beside many.
func attachCost(b *testing.B, suite string) {
	program := filepath.Join(b.TempDir(), "attach")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", program, "./attach")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	g := vm.Installed(b, suite)
	g.Put(program, "/root/attach")
	// dovesnap is not to sweep endpoints that Docker has never heard of.
	g.Sh("echo DOVESNAP_SWEEP_GRACE=24h >>/etc/default/dovesnap; systemctl restart dovesnap")
	g.Sh("docker network create many -d ovs -o ovs.bridge.mode=nat --subnet 172.21.0.0/16")
	out := g.Slow(30*time.Minute, "/root/attach $(docker network inspect -f '{{.Id}}' many) 10 100 300")
	fmt.Printf("\n%s: one more endpoint, ms, median (slowest), and ratio to the first row's\n", suite)
	fmt.Printf("%-6s %-24s %-24s %s\n", "the", "attach", "detach", "ovs-vsctl add-port alone")
	type row struct {
		Size                 int
		Attach, Detach, Bare []float64
	}
	var first row
	for line := range strings.Lines(out) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.Fatal(err)
		}
		if first.Size == 0 {
			first = r
		}
		cell := func(of, to []float64) string {
			return fmt.Sprintf("%.1f (%.1f) %.2f", quantile(of, 0.5), quantile(of, 1), quantile(of, 0.5)/quantile(to, 0.5))
		}
		fmt.Printf("%-6s %-24s %-24s %s\n", fmt.Sprintf("%dth", r.Size), cell(r.Attach, first.Attach), cell(r.Detach, first.Detach), cell(r.Bare, first.Bare))
	}
}

// quantile returns the smallest sample that is not less than the share q of all.
func quantile(samples []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
