// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dovesnap/reconcile"
	"dovesnap/spec"
)

const (
	netID = "a100000000000000000000000000000000000000000000000000000000000000"
	epID  = "e100000000000000000000000000000000000000000000000000000000000000"
)

// inspected is what Docker 20.10 answers for a network with one container.
const inspected = `{"Name":"mynet","Id":"` + netID + `","Created":"2024-01-01T00:00:00.000000000Z","Scope":"local","Driver":"ovs",
"EnableIPv6":false,"IPAM":{"Driver":"default","Options":{},"Config":[{"Subnet":"172.12.0.0/24","IPRange":"172.12.0.8/29","Gateway":"172.12.0.1"}]},
"Internal":false,"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,
"Containers":{"c1":{"Name":"box","EndpointID":"` + epID + `","MacAddress":"02:42:ac:0c:00:08","IPv4Address":"172.12.0.8/24","IPv6Address":""}},
"Options":{"ovs.bridge.mode":"nat","ovs.bridge.dpid":"0x1"},"Labels":{}}`

// docker is a dockerd that knows one network.
type docker struct {
	path    string
	inspect atomic.Value // string: the answer; "": not found
	events  chan struct{}
	filters atomic.Value
}

func serve(t *testing.T) *docker {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovesnap-docker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &docker{path: filepath.Join(dir, "d.sock"), events: make(chan struct{})}
	d.inspect.Store(inspected)
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/networks", func(w http.ResponseWriter, r *http.Request) {
		d.filters.Store(r.URL.Query().Get("filters"))
		fmt.Fprintf(w, `[{"Name":"mynet","Id":%q,"Driver":"ovs"}]`, netID)
	})
	mux.HandleFunc("/v1.41/networks/"+netID, func(w http.ResponseWriter, _ *http.Request) {
		if text := d.inspect.Load().(string); text != "" {
			fmt.Fprint(w, text)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"network not found"}`)
	})
	mux.HandleFunc("/v1.41/events", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return
			case _, ok := <-d.events:
				if !ok {
					return
				}
				fmt.Fprintln(w, `{"Type":"network","Action":"connect"}`)
				w.(http.Flusher).Flush()
			}
		}
	})
	l, err := net.Listen("unix", d.path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return d
}

// watch runs a Watcher and returns its views; it ends with the test.
func watch(t *testing.T, d *docker) (*Watcher, <-chan reconcile.DockerView) {
	t.Helper()
	views := make(chan reconcile.DockerView, 10)
	w := New(Config{Host: "unix://" + d.path, Drivers: []string{"ovs", "dovesnap"}, Interval: time.Hour},
		func(_ context.Context, v reconcile.DockerView) error { views <- v; return nil }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w, views
}

func next(t *testing.T, views <-chan reconcile.DockerView) reconcile.DockerView {
	t.Helper()
	select {
	case v := <-views:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("no view")
		return reconcile.DockerView{}
	}
}

// What inspect shows parses to the very network that CreateNetwork made.
func TestViewIsWhatCreateNetworkCarried(t *testing.T) {
	d := serve(t)
	w, views := watch(t, d)
	v := next(t, views)
	got, ok := v.Networks[netID]
	if !ok || got.Name != "mynet" {
		t.Fatalf("view: %+v", v)
	}
	n, err := spec.ParseNetwork(got.Request)
	if err != nil || n.Mode != spec.NAT || n.DPID != 1 || n.Gateway(netip.MustParseAddr("172.12.0.8")).String() != "172.12.0.1" {
		t.Errorf("network: %+v, %v", n, err)
	}
	ep := got.Endpoints[epID]
	if ep.Container != "box" || ep.Request.Address != "172.12.0.8/24" || ep.Request.MAC != "02:42:ac:0c:00:08" {
		t.Errorf("endpoint: %+v", ep)
	}
	if filters := d.filters.Load().(string); !strings.Contains(filters, "ovs") || !strings.Contains(filters, "dovesnap") {
		t.Errorf("asked for %s", filters)
	}
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

func TestEventBringsAView(t *testing.T) {
	d := serve(t)
	_, views := watch(t, d)
	next(t, views)
	d.inspect.Store("") // removed since it was listed
	d.events <- struct{}{}
	if v := next(t, views); len(v.Networks) != 0 {
		t.Errorf("view: %+v", v)
	}
}

func TestDockerComesBack(t *testing.T) {
	d := serve(t)
	_, views := watch(t, d)
	next(t, views)
	close(d.events) // dockerd ends its stream
	next(t, views)
}

func TestDockerIsAway(t *testing.T) {
	w := New(Config{Host: "unix:///nonexistent/d.sock", Interval: time.Hour},
		func(context.Context, reconcile.DockerView) error { return errors.New("not to be called") }, slog.New(slog.DiscardHandler))
	if err := w.watch(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestNullIPAMHasNoSubnet(t *testing.T) {
	d := serve(t)
	d.inspect.Store(strings.Replace(strings.Replace(inspected, `"Driver":"default"`, `"Driver":"null"`, 1),
		`"Subnet":"172.12.0.0/24","IPRange":"172.12.0.8/29","Gateway":"172.12.0.1"`, `"Subnet":"0.0.0.0/0"`, 1))
	_, views := watch(t, d)
	if v := next(t, views); len(v.Networks[netID].Request.Subnets) != 0 {
		t.Errorf("subnets: %+v", v.Networks[netID].Request.Subnets)
	}
}
