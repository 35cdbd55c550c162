// SPDX-License-Identifier: Apache-2.0

// Command attach measures what one more endpoint costs beside few and beside many,
// by the calls that Docker makes of the driver, without a Docker that takes time
// itself:
//
//	attach NETWORK-ID SIZE...
//
// For each size it fills the network up to one less, attaches and detaches one more
// several times, and prints a line of JSON. What it has attached is detached again
// at the end.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"dovesnap/spec"
)

// Result is what was measured beside a number of endpoints, in milliseconds.
type Result struct {
	Size   int       `json:"size"`
	Attach []float64 `json:"attach"`
	Detach []float64 `json:"detach"`
	Bare   []float64 `json:"bare"` // ovs-vsctl add-port on the same bridge, the program's start included
}

const times = 20

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: attach NETWORK-ID SIZE...")
	}
	network, n := os.Args[1], 0
	for _, arg := range os.Args[2:] {
		size, err := strconv.Atoi(arg)
		if err != nil {
			log.Fatal(err)
		}
		for ; n < size-1; n++ {
			attach(network, n)
		}
		r := Result{Size: size}
		for range times {
			r.Attach = append(r.Attach, took(func() { attach(network, n) }))
			r.Detach = append(r.Detach, took(func() { detach(network, n) }))
			r.Bare = append(r.Bare, addPort(spec.BridgeName(spec.NetworkID(network))))
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			log.Fatal(err)
		}
	}
	for n > 0 {
		n--
		detach(network, n)
	}
}

// took returns how many milliseconds do takes.
func took(do func()) float64 {
	began := time.Now()
	do()
	return time.Since(began).Seconds() * 1000
}

// attach makes the calls of a container's start for the n-th endpoint.
func attach(network string, n int) {
	ports := map[string]any{"com.docker.network.endpoint.exposedports": []any{}, "com.docker.network.portmap": []any{}}
	call(network, n, "CreateEndpoint", map[string]any{"Options": ports,
		"Interface": map[string]string{"Address": fmt.Sprintf("172.21.%d.%d/16", 100+n/250, 1+n%250), "AddressIPv6": "", "MacAddress": ""}})
	call(network, n, "EndpointOperInfo", map[string]any{})
	call(network, n, "Join", map[string]any{"SandboxKey": "/run/docker/netns/none", "Options": ports})
	call(network, n, "ProgramExternalConnectivity", map[string]any{"Options": ports})
}

// detach makes those of its end.
func detach(network string, n int) {
	for _, method := range []string{"RevokeExternalConnectivity", "Leave", "DeleteEndpoint"} {
		call(network, n, method, map[string]any{})
	}
}

var client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", "/run/docker/plugins/ovs.sock")
}}}

// call makes one call, which must succeed.
func call(network string, n int, method string, request map[string]any) {
	request["NetworkID"], request["EndpointID"] = network, fmt.Sprintf("%012x%052x", n+1, 0)
	body, err := json.Marshal(request)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Post("http://plugin/NetworkDriver."+method, "", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		log.Fatalf("%s: %s %s %v", method, answer.Status, text, err)
	}
}

// addPort returns how long Open vSwitch alone takes for one more port.
func addPort(bridge string) float64 {
	run("ip", "link", "add", "bare0", "up", "type", "veth", "peer", "name", "bare1")
	ms := took(func() { run("ovs-vsctl", "--timeout=60", "add-port", bridge, "bare0") })
	run("ovs-vsctl", "--timeout=60", "del-port", bridge, "bare0")
	run("ip", "link", "del", "bare0")
	return ms
}

func run(argv ...string) {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		log.Fatalf("%v: %v: %s", argv, err, out)
	}
}
