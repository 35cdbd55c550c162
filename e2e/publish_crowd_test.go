// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"dovesnap/e2e/host"
	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

// A crowd is endpoints whose containers are only played: the calls that Docker makes
// for each, without a Docker that takes time itself. Their links are where no container
// is, since Docker does not know them.
type crowd struct {
	*testHost
	client  *http.Client
	network string
}

const nowhere = "crowd"

// enter moves the n-th one's link away.
func (c crowd) enter(n int) error {
	id := spec.EndpointID(endpointRequest(c.network, n, nil)["EndpointID"].(string))
	_, err := c.try("ip", "link", "set", spec.ContainerLink(id), "netns", nowhere)
	return err
}

func (c crowd) call(method string, n int, more map[string]any) error {
	body, err := json.Marshal(endpointRequest(c.network, n, more))
	if err != nil {
		return err
	}
	answer, err := c.client.Post("http://plugin/NetworkDriver."+method, "", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %d: %s %s", method, n, answer.Status, text)
	}
	return err
}

// arrive makes the calls of a start with three published ports: one of its own, of
// both families and of udp, one of a range that all want, and any.
func (c crowd) arrive(n int) error {
	port := func(proto, at, first, last int) map[string]any {
		return map[string]any{"Proto": proto, "IP": "", "Port": at, "HostIP": "", "HostPort": first, "HostPortEnd": last}
	}
	const tcp, udp = 6, 17
	options := map[string]any{"Options": map[string]any{"com.docker.network.portmap": []any{
		port(udp, 53, 20000+n, 20000+n), port(tcp, 80, 21000, 21999), port(tcp, 81, 0, 0),
	}}}
	with := map[string]any{"Interface": map[string]string{"Address": fmt.Sprintf("172.20.1.%d/24", n+10), "AddressIPv6": fmt.Sprintf("fd00:20:1::%x/64", n+10), "MacAddress": ""}}
	return errors.Join(c.call("CreateEndpoint", n, with), c.call("Join", n, map[string]any{"SandboxKey": "/run/docker/netns/none"}),
		c.enter(n), c.call("ProgramExternalConnectivity", n, options))
}

// leave makes those of an end; every third time Docker forgets to revoke.
func (c crowd) leave(n int) error {
	var errs []error
	if n%3 != 0 {
		errs = append(errs, c.call("RevokeExternalConnectivity", n, nil))
	}
	return errors.Join(append(errs, c.call("Leave", n, nil), c.call("DeleteEndpoint", n, nil))...)
}

// all does something for count endpoints, a few at a time.
func (c crowd) all(t *testing.T, count int, do func(n int) error) {
	t.Helper()
	const atOnce = 8
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := range numbers {
				if err := do(n); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for n := range count {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
}

// Hundreds of containers come and go at the same time, and the rules are what they
// were.
func TestPublishedByACrowd(t *testing.T) {
	const count = 200
	h := newHost(t, host.Suites[1])
	h.ready()
	h.dovesnap()
	h.docker(append(strings.Fields(createNet), "--ipv6", "--subnet=fd00:20:1::/64", "--gateway=fd00:20:1::1")...)
	h.run("ip", "netns", "add", nowhere)
	c := crowd{h, h.pluginClient(), h.inspect("net").ID}
	if err := errors.Join(c.arrive(count), c.leave(count)); err != nil { // forwarding is on from now
		t.Fatal(err)
	}
	before, rules := h.snapshot(), h.ours()
	c.all(t, count, c.arrive)
	chosen := map[string]int{}
	for _, rule := range h.ours() {
		if _, after, ok := strings.Cut(rule, "--dport "); ok {
			table, _, _ := strings.Cut(rule, " ")
			port, _, _ := strings.Cut(after, " ")
			proto := "tcp"
			if strings.Contains(rule, "-p udp") {
				proto = "udp"
			}
			chosen[table+" "+proto+" "+port]++
		}
	}
	if len(chosen) != 2*3*count {
		t.Errorf("%d ports are published, want three of each in both families", len(chosen))
	}
	for port, times := range chosen {
		if times != 1 {
			t.Errorf("%s is published %d times", port, times)
		}
	}
	c.all(t, count/2, func(n int) error { return errors.Join(c.leave(n), c.arrive(n), c.leave(n)) })
	c.all(t, count/2, func(n int) error { return c.leave(count/2 + n) })
	if diff := cmp.Diff(rules, h.ours()); diff != "" {
		t.Errorf("rules (-before +after):\n%s", diff)
	}
	h.nothingLeftSince(before, savedFlows)
}
