// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"dovesnap/e2e/host"
	"dovesnap/spec"
)

// A caller speaks Docker's side of the driver's protocol, without a Docker that
// takes time itself.
type caller struct {
	bn     *bench
	client *http.Client
	calls  map[string]samples // of the protocol, in ms
}

func (bn *bench) newCaller() *caller {
	return &caller{bn: bn, client: bn.pluginClient(), calls: map[string]samples{}}
}

// pluginClient returns a client of the driver's socket.
func (h *testHost) pluginClient() *http.Client {
	dial := func(context.Context, string, string) (conn net.Conn, err error) {
		err = h.Files(func() error {
			conn, err = net.Dial("unix", host.PluginSockets[0])
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// call makes one call, which must succeed.
func (c *caller) call(method string, request map[string]any) {
	body, err := json.Marshal(request)
	if err != nil {
		c.bn.t.Fatal(err)
	}
	s := c.calls[method]
	s.ms(took(func() {
		answer, err := c.client.Post("http://plugin/NetworkDriver."+method, "", bytes.NewReader(body))
		if err != nil {
			c.bn.t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			c.bn.t.Fatalf("%s: %s %s %v", method, answer.Status, text, err)
		}
	}))
	c.calls[method] = s
}

// attach makes the calls of a container's start for the n-th endpoint.
func (c *caller) attach(network string, n int) {
	request := func(more map[string]any) map[string]any { return endpointRequest(network, n, more) }
	ports := map[string]any{"com.docker.network.endpoint.exposedports": []any{}, "com.docker.network.portmap": []any{}}
	c.call("CreateEndpoint", request(map[string]any{"Options": ports,
		"Interface": map[string]string{"Address": fmt.Sprintf("172.21.%d.%d/16", 100+n/250, 1+n%250), "AddressIPv6": "", "MacAddress": ""}}))
	c.call("EndpointOperInfo", request(nil))
	c.call("Join", request(map[string]any{"SandboxKey": "/run/docker/netns/none", "Options": ports}))
	c.call("ProgramExternalConnectivity", request(map[string]any{"Options": ports}))
}

// detach makes the calls of a container's end.
func (c *caller) detach(network string, n int) {
	for _, method := range []string{"RevokeExternalConnectivity", "Leave", "DeleteEndpoint"} {
		c.call(method, endpointRequest(network, n, nil))
	}
}

func endpointRequest(network string, n int, more map[string]any) map[string]any {
	request := map[string]any{"NetworkID": network, "EndpointID": fmt.Sprintf("%012x%052x", n+1, 0)}
	for k, v := range more {
		request[k] = v
	}
	return request
}

// driverCalls measures the calls themselves, what one more endpoint costs beside
// few and beside many, and the memory that many take.
func (bn *bench) driverCalls() {
	const few, many, times = 10, 300, 30
	c, network := bn.newCaller(), bn.inspect(contenders[1].network).ID
	memory := bn.report.table("resident memory of dovesnap, MB", "VmRSS", "of which RssAnon", "goal")
	bn.resident(memory, "without endpoints", "")
	attach, detach, floor := map[int]samples{}, map[int]samples{}, map[int]samples{}
	size := 0
	grow := func(to int) {
		for ; size < to; size++ {
			c.attach(network, size)
		}
	}
	for _, beside := range []int{few, many} {
		grow(beside - 1)
		on, off, by := samples{}, samples{}, samples{}
		for range times {
			on.ms(took(func() { c.attach(network, size) }))
			off.ms(took(func() { c.detach(network, size) }))
		}
		for range times {
			by.ms(bn.addPort(spec.BridgeName(spec.NetworkID(network))))
		}
		attach[beside], detach[beside], floor[beside] = on, off, by
	}
	grow(many)
	bn.settle()
	bn.resident(memory, fmt.Sprintf("with %d endpoints", many), "< 32")
	bn.run(host.Program, "status")
	bn.resident(memory, "… after `dovesnap status`", "< 32")
	for size > 0 {
		size--
		c.detach(network, size)
	}
	bn.settle()
	bn.resident(memory, "with none again", "< 32")

	t := bn.report.table(fmt.Sprintf("one more endpoint, ms: median and slowest of %d", times),
		fmt.Sprintf("the %dth", few), fmt.Sprintf("the %dth", many), "ratio", "goal")
	for _, r := range []struct {
		what string
		of   map[int]samples
		goal string
	}{
		{"attach: CreateEndpoint … ProgramExternalConnectivity", attach, "< 1.2"},
		{"detach: RevokeExternalConnectivity … DeleteEndpoint", detach, ""},
		{"Open vSwitch alone: ovs-vsctl add-port", floor, ""},
	} {
		t.row(r.what, most(r.of[few]), most(r.of[many]), ratio(r.of[many], r.of[few]), r.goal)
	}
	t = bn.report.table("calls on the driver's socket, ms", "p50", "p99", "slowest", "calls")
	for _, method := range []string{"CreateEndpoint", "EndpointOperInfo", "Join", "ProgramExternalConnectivity",
		"RevokeExternalConnectivity", "Leave", "DeleteEndpoint"} {
		s := c.calls[method]
		t.row(method, fmt.Sprintf("%.2f", s.median()), fmt.Sprintf("%.2f", s.quantile(0.99)), fmt.Sprintf("%.2f", s.quantile(1)), fmt.Sprint(len(s)))
	}
}

// addPort returns how long Open vSwitch alone takes for one more port on the
// same bridge, the start of ovs-vsctl included.
func (bn *bench) addPort(bridge string) time.Duration {
	const link = "bench0"
	bn.run("ip", "link", "add", link, "up", "type", "veth", "peer", "name", "bench1")
	add := took(func() { bn.run("ovs-vsctl", "--timeout=20", "add-port", bridge, link) })
	bn.run("ovs-vsctl", "--timeout=20", "del-port", bridge, link)
	bn.run("ip", "link", "del", link)
	return add
}

// resident adds a row of what proc(5) says of dovesnap's memory now.
func (bn *bench) resident(t *table, when, goal string) {
	bn.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", bn.dovesnap.PID()))
	if err != nil {
		bn.t.Fatal(err)
	}
	cells := make([]string, 2)
	for _, line := range strings.Split(string(text), "\n") {
		for i, key := range []string{"VmRSS:", "RssAnon:"} {
			var kB float64
			if rest, ok := strings.CutPrefix(line, key); ok {
				if _, err := fmt.Sscan(rest, &kB); err != nil {
					bn.t.Fatal(err)
				}
				cells[i] = fmt.Sprintf("%.1f", kB*1024/1e6)
			}
		}
	}
	t.row(when, append(cells, goal)...)
}
