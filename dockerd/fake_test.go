// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovesnap/reconcile"
	"dovesnap/spec"
)

const (
	netID = "a100000000000000000000000000000000000000000000000000000000000000"
	epID  = "e100000000000000000000000000000000000000000000000000000000000000"
	boxID = "c100000000000000000000000000000000000000000000000000000000000000"
)

// inspected is what Docker 20.10 answers for a network with one container.
const inspected = `{"Name":"mynet","Id":"` + netID + `","Created":"2024-01-01T00:00:00.000000000Z","Scope":"local","Driver":"ovs",
"EnableIPv6":false,"IPAM":{"Driver":"default","Options":{},"Config":[{"Subnet":"172.12.0.0/24","IPRange":"172.12.0.8/29","Gateway":"172.12.0.1"}]},
"Internal":false,"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,
"Containers":{"` + boxID + `":{"Name":"box","EndpointID":"` + epID + `","MacAddress":"02:42:ac:0c:00:08","IPv4Address":"172.12.0.8/24","IPv6Address":""}},
"Options":{"ovs.bridge.mode":"nat","ovs.bridge.dpid":"0x1"},"Labels":{}}`

// listed is what it answers for a list with that container; State is %s.
const listed = `[{"Id":"` + boxID + `","Names":["/box"],"Image":"busybox","Labels":{"dovesnap.faucet.portacl":"strict","other":"x"},"State":"%s",
"HostConfig":{"NetworkMode":"mynet"},"NetworkSettings":{"Networks":{"mynet":{"NetworkID":"` + netID + `","EndpointID":"` + epID + `","DriverOpts":null}}}}]`

// inspectedBox is what it answers for the container itself.
const inspectedBox = `{"Id":"` + boxID + `","Name":"/box","NetworkSettings":{"Networks":{"mynet":{"NetworkID":"` + netID + `","EndpointID":"` + epID + `",
"DriverOpts":{"ovs.port.vlan":"20","dovesnap.faucet.mac_prefix":"0e:00"}}}}}`

// docker is a dockerd that knows one network.
type docker struct {
	path   string
	events chan string // JSON; "end": dockerd ends the stream
	hang   chan struct{}

	mu      sync.Mutex
	answers map[string][]string // by path; one after the other, the last again and again; "": not found; "hang"
	asked   []string            // path?query
}

func serve(t *testing.T) *docker {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovesnap-docker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &docker{path: filepath.Join(dir, "d.sock"), events: make(chan string), hang: make(chan struct{})}
	d.answers = map[string][]string{
		"/networks":                      {`[{"Name":"mynet","Id":"` + netID + `","Driver":"ovs"}]`},
		"/networks/" + netID:             {inspected},
		"/containers/json":               {fmt.Sprintf(listed, "created")},
		"/containers/" + boxID + "/json": {inspectedBox},
	}
	l, err := net.Listen("unix", d.path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { close(d.hang); server.Close() })
	return d
}

func (d *docker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	switch path {
	case "/_ping":
		w.Header().Set("Api-Version", "1.41")
	case "/events":
		d.stream(w, r)
	default:
		switch text := d.answer(path, r.URL.Query().Get("filters")); text {
		case "hang":
			select {
			case <-d.hang:
			case <-r.Context().Done():
			}
		case "":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"not found"}`)
		default:
			fmt.Fprint(w, text)
		}
	}
}

func (d *docker) answer(path, filters string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, path+"?"+filters)
	all := d.answers[path]
	if len(all) == 0 {
		return ""
	}
	if len(all) > 1 {
		d.answers[path] = all[1:]
	}
	return all[0]
}

// answers sets what is answered for a path from now on.
func (d *docker) set(path string, answers ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[path] = answers
}

// count returns how many requests contained a text.
func (d *docker) count(text string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.asked {
		if strings.Contains(a, text) {
			n++
		}
	}
	return n
}

func (d *docker) stream(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case text := <-d.events:
			if text == "end" {
				return
			}
			fmt.Fprintln(w, text)
			w.(http.Flusher).Flush()
		}
	}
}

// network makes an event of a network of a driver.
func networkEvent(action, driver string) string {
	return fmt.Sprintf(`{"Type":"network","Action":%q,"Actor":{"ID":%q,"Attributes":{"container":%q,"name":"mynet","type":%q}}}`, action, netID, boxID, driver)
}

// engine notes what it is told, as one line each.
type engine struct {
	views chan reconcile.DockerView
	calls chan string
	lacks bool
	err   error // what everything is answered with
}

func (e *engine) Lacks(_ context.Context, ids []spec.EndpointID) ([]spec.EndpointID, error) {
	if e.lacks {
		return ids, e.err
	}
	return nil, e.err
}

func (e *engine) See(ctx context.Context, v reconcile.DockerView) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case e.views <- v:
	default: // nobody looks any more
	}
	return e.err
}

func (e *engine) Named(_ context.Context, n spec.NetworkID, name string) error {
	e.calls <- fmt.Sprintf("named %s %s", n.Short(), name)
	return e.err
}

func (e *engine) Attached(_ context.Context, n spec.NetworkID, id spec.EndpointID, container string, labels map[string]string) error {
	e.calls <- fmt.Sprintf("attached %s %s %s %s", n.Short(), id.Short(), container, labels["dovesnap.faucet.portacl"])
	return e.err
}

func (e *engine) Started(_ context.Context, ids []spec.EndpointID) error {
	var short []string
	for _, id := range ids {
		short = append(short, id.Short())
	}
	slices.Sort(short)
	e.calls <- "started " + strings.Join(short, " ")
	return e.err
}

// Calls of the engine, for the network and container above.
var (
	named    = "named " + spec.NetworkID(netID).Short() + " mynet"
	attached = "attached " + spec.NetworkID(netID).Short() + " " + spec.EndpointID(epID).Short() + " box strict"
	started  = "started " + spec.EndpointID(epID).Short()
)

// watch runs a Watcher until the test ends.
func watch(t *testing.T, d *docker, e *engine) *Watcher {
	t.Helper()
	e.views, e.calls = make(chan reconcile.DockerView, 10), make(chan string, 100)
	w := New(Config{Host: "unix://" + d.path, Drivers: []string{"ovs", "dovesnap"}, Interval: time.Hour}, e, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// next returns what comes from a channel.
func next[V any](t *testing.T, from <-chan V) V {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// hears expects the next calls of the engine.
func (e *engine) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(t, e.calls); got != w {
			t.Fatalf("engine heard %q, want %q", got, w)
		}
	}
}
