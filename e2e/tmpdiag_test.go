package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dovesnap/e2e/host"
)

func cpu(t *testing.T, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil { t.Fatal(err) }
	f := strings.Fields(string(text))
	var u, s float64
	fmt.Sscan(f[13], &u); fmt.Sscan(f[14], &s)
	return (u + s) * 10
}

func TestDiag2(t *testing.T) {
	suite := "trixie"
	if s := os.Getenv("DOVESNAP_BENCH_SUITE"); s != "" { suite = s }
	h := newHost(t, suite)
	bn := &bench{testHost: h, report: &report{}, binary: filepath.Join(buildDir, "dovesnap-bench")}
	if err := host.Build(t.Context(), "..", false, "build", "-trimpath", "-o", bn.binary, "."); err != nil {
		t.Fatal(err)
	}
	bn.startDovesnap()
	h.dockerd()
	h.docker(strings.Fields("network create ovs " + contenders[1].create)...)
	c, network := bn.newCaller(), bn.inspect("ovs").ID
	bridge := h.bridge()
	n := 0
	for _, size := range []int{10, 300} {
		for ; n < size; n++ { c.attach(network, n) }
		on, off, by := samples{}, samples{}, samples{}
		for range 15 {
			on.ms(took(func() { c.attach(network, n) }))
			off.ms(took(func() { c.detach(network, n) }))
			by.ms(bn.addPort(bridge))
		}
		fmt.Printf("%s %d: attach %.1f detach %.1f add-port %.1f\n", suite, size, on.median(), off.median(), by.median())
		const par = 16
		for range 3 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		fmt.Printf("%s %d: %d attaches at once: %.0f ms\n", suite, size, par, took(func() {
			for i := range par { wg.Add(1); go func() { defer wg.Done()
				c := bn.newCaller(); c.attach(network, 5000+i); mu.Lock(); mu.Unlock() }() }
			wg.Wait() }).Seconds()*1000)
		for i := range par { c.detach(network, 5000+i) }
		for i := range par { h.run("ip", "link", "add", fmt.Sprintf("x%d", i), "up", "type", "veth", "peer", "name", fmt.Sprintf("y%d", i)) }
		fmt.Printf("%s %d: %d ovs-vsctl add-port at once: %.0f ms\n", suite, size, par, took(func() {
			for i := range par { wg.Add(1); go func() { defer wg.Done(); h.run("ovs-vsctl", "add-port", bridge, fmt.Sprintf("x%d", i)) }() }
			wg.Wait() }).Seconds()*1000)
		args := []string{"ovs-vsctl"}
		for i := range par { h.run("ovs-vsctl", "del-port", bridge, fmt.Sprintf("x%d", i)) ; args = append(args, "--", "add-port", bridge, fmt.Sprintf("x%d", i)) }
		fmt.Printf("%s %d: %d ports by one ovs-vsctl: %.0f ms\n", suite, size, par, took(func() { h.run(args...) }).Seconds()*1000)
		for i := range par { h.run("ovs-vsctl", "del-port", bridge, fmt.Sprintf("x%d", i)); h.run("ip", "link", "del", fmt.Sprintf("x%d", i)) }
		}
		began := time.Now()
		var slow samples
		for time.Since(began) < 65*time.Second {
			d := took(func() { c.call("Join", endpointRequest(network, 1, map[string]any{"SandboxKey": "/x", "Options": map[string]any{}})) })
			if d > 15*time.Millisecond { slow.ms(d) }
			time.Sleep(2*time.Millisecond)
		}
		fmt.Printf("%s %d: Joins slower than 15 ms in 65 s: %.0f\n", suite, size, slow)
		before, vs := cpu(t, bn.dovesnap.PID()), 0.0
		time.Sleep(60*time.Second)
		fmt.Printf("%s %d: dovesnap idle CPU in 60 s: %.0f ms %v\n", suite, size, cpu(t, bn.dovesnap.PID())-before, vs)
	}
}
