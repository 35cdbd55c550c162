// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dovesnap/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// engine is a fake that remembers networks and endpoints, as the real one does.
type engine struct {
	mu        sync.Mutex
	networks  map[spec.NetworkID]spec.Network
	endpoints map[spec.EndpointID]spec.Endpoint
	published map[spec.EndpointID][]spec.PortMap
	err       error         // every call fails with it
	hold      chan struct{} // every call waits for it
	entered   chan struct{} // receives when a call begins to wait
}

func newEngine() *engine {
	return &engine{networks: map[spec.NetworkID]spec.Network{}, endpoints: map[spec.EndpointID]spec.Endpoint{}, published: map[spec.EndpointID][]spec.PortMap{}}
}

func (e *engine) begin(ctx context.Context) error {
	if e.hold != nil {
		e.entered <- struct{}{}
		select {
		case <-e.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e.mu.Lock()
	return e.err
}

func (e *engine) CreateNetwork(ctx context.Context, n spec.Network) error {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	e.networks[n.ID] = n
	return err
}

func (e *engine) DeleteNetwork(ctx context.Context, id spec.NetworkID) error {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	delete(e.networks, id)
	return err
}

func (e *engine) CreateEndpoint(ctx context.Context, ep spec.Endpoint) (spec.Endpoint, error) {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	if _, ok := e.networks[ep.Network]; !ok {
		return ep, fmt.Errorf("network %q is not known", ep.Network)
	}
	ep.OFPort = 1
	if ep.MAC == "" {
		ep.MAC = spec.EndpointMAC(ep.ID, ep.Addresses, "")
	}
	e.endpoints[ep.ID] = ep
	return ep, err
}

func (e *engine) DeleteEndpoint(ctx context.Context, id spec.EndpointID) error {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	delete(e.endpoints, id)
	return err
}

func (e *engine) Publish(ctx context.Context, nid spec.NetworkID, id spec.EndpointID, maps []spec.PortMap) error {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	if err != nil || len(maps) == 0 {
		return err
	}
	if err := spec.CheckPublish(e.networks[nid], maps); err != nil {
		return err
	}
	e.published[id] = maps
	return nil
}

func (e *engine) Unpublish(ctx context.Context, id spec.EndpointID) error {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	delete(e.published, id)
	return err
}

func (e *engine) Join(ctx context.Context, nid spec.NetworkID, eid spec.EndpointID) (spec.Network, spec.Endpoint, error) {
	err := e.begin(ctx)
	defer e.mu.Unlock()
	n, ok := e.networks[nid]
	ep, attached := e.endpoints[eid]
	if !ok || !attached {
		return n, ep, errors.New("not known")
	}
	if e.err == nil && eid == "panics" {
		panic("boom")
	}
	return n, ep, err
}

// serve starts a server on a socket of its own and returns a client for it.
func serve(t *testing.T, e Engine) (call func(method, body string) (int, string), stop func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovesnap-plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return serveIn(t, dir, e)
}

func serveIn(t *testing.T, dir string, e Engine) (call func(method, body string) (int, string), stop func() error) {
	t.Helper()
	listeners, err := Listen(dir, []string{"ovs", "dovesnap"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	server := NewServer(&Driver{Engine: e}, slog.New(slog.DiscardHandler))
	server.lookEvery = 10 * time.Millisecond
	go func() { done <- server.Run(ctx, listeners) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "ovs.sock"))
	}}, Timeout: 30 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, body string) (int, string) {
		// As dockerd does: no Content-Type.
		response, err := client.Post("http://plugin.moby.localhost/"+method, "", strings.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", method, err)
			return 0, ""
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		return response.StatusCode, strings.TrimSpace(string(text))
	}, stop
}

// TestRecorded replays what dockerd really sends, one call a line, and compares
// the answers with the golden file beside it.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.calls")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".calls"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			call, _ := serve(t, newEngine())
			var got bytes.Buffer
			for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				if strings.HasPrefix(line, "#") {
					continue
				}
				method, body, _ := strings.Cut(line, " ")
				status, answer := call(method, body)
				fmt.Fprintf(&got, "%s %d %s\n", method, status, answer)
			}
			golden := strings.TrimSuffix(file, ".calls") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("answers differ (-want +got):\n%s", diff)
			}
		})
	}
}

const createNetwork = `{"NetworkID":"a1","Options":{"com.docker.network.generic":{"ovs.bridge.mode":"nat"}},"IPv4Data":[{"AddressSpace":"LocalDefault","Gateway":"10.9.0.1/24","Pool":"10.9.0.0/24"}],"IPv6Data":[]}`

func createEndpoint(id string) string {
	return fmt.Sprintf(`{"NetworkID":"a1","EndpointID":%q,"Interface":{"Address":"10.9.0.5/24","AddressIPv6":"","MacAddress":""},"Options":{}}`, id)
}

func TestNetworkIsParsed(t *testing.T) {
	e := newEngine()
	call, _ := serve(t, e)
	if status, answer := call("NetworkDriver.CreateNetwork", createNetwork); status != 200 {
		t.Fatal(status, answer)
	}
	n := e.networks["a1"]
	if n.Mode != spec.NAT || len(n.Subnets) != 1 || n.Subnets[0].Gateway != netip.MustParsePrefix("10.9.0.1/24") {
		t.Errorf("network: %+v", n)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	e := newEngine()
	e.err = errors.New("first line\n\tsecond  line")
	call, _ := serve(t, e)
	status, answer := call("NetworkDriver.DeleteNetwork", `{"NetworkID":"a1"}`)
	if status != 500 || answer != `{"Err":"first line second line"}` {
		t.Errorf("%d %s", status, answer)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	call, _ := serve(t, newEngine())
	call("NetworkDriver.CreateNetwork", createNetwork)
	call("NetworkDriver.CreateEndpoint", createEndpoint("panics"))
	status, answer := call("NetworkDriver.Join", `{"NetworkID":"a1","EndpointID":"panics","SandboxKey":"/x","Options":{}}`)
	if status != 500 || !strings.Contains(answer, "internal error") {
		t.Errorf("%d %s", status, answer)
	}
}

func TestGarbageIsRefused(t *testing.T) {
	call, _ := serve(t, newEngine())
	for _, method := range []string{"CreateNetwork", "DeleteNetwork", "CreateEndpoint", "Join", "Leave", "DeleteEndpoint", "ProgramExternalConnectivity"} {
		for _, body := range []string{"", "{", "[]", `"x"`, `{"NetworkID":5}`, strings.Repeat("[", 1000), `{"NetworkID":"` + strings.Repeat("x", maxBody) + `"}`} {
			status, answer := call("NetworkDriver."+method, body)
			var decoded struct{ Err string }
			if status != 400 || json.Unmarshal([]byte(answer), &decoded) != nil || decoded.Err == "" {
				t.Errorf("%s with a body of %d bytes: %d %.200s", method, len(body), status, answer)
			}
		}
	}
	if status, _ := call("NetworkDriver.NoSuchCall", "{}"); status != 404 {
		t.Errorf("an unknown call: %d", status)
	}
}

// On stop, the calls in flight are answered, and no new ones are taken.
func TestStopDrains(t *testing.T) {
	e := newEngine()
	e.hold, e.entered = make(chan struct{}), make(chan struct{}, 1)
	call, stop := serve(t, e)
	answered := make(chan int, 1)
	go func() {
		status, _ := call("NetworkDriver.CreateNetwork", createNetwork)
		answered <- status
	}()
	<-e.entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case <-stopped:
		t.Fatal("stopped with a call in flight")
	case <-time.After(50 * time.Millisecond): // long enough for a wrong stop to show
	}
	close(e.hold)
	if status := <-answered; status != 200 {
		t.Errorf("the call in flight: %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestConcurrentCalls(t *testing.T) {
	e := newEngine()
	call, _ := serve(t, e)
	call("NetworkDriver.CreateNetwork", createNetwork)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			id := fmt.Sprintf("e%d", i)
			for _, c := range [][2]string{
				{"CreateEndpoint", createEndpoint(id)},
				{"Join", fmt.Sprintf(`{"NetworkID":"a1","EndpointID":%q,"SandboxKey":"/x","Options":{}}`, id)},
				{"Leave", fmt.Sprintf(`{"NetworkID":"a1","EndpointID":%q}`, id)},
				{"DeleteEndpoint", fmt.Sprintf(`{"NetworkID":"a1","EndpointID":%q}`, id)},
				{"DeleteEndpoint", fmt.Sprintf(`{"NetworkID":"a1","EndpointID":%q}`, id)},
			} {
				if status, answer := call("NetworkDriver."+c[0], c[1]); status != 200 {
					t.Errorf("%s: %d %s", c[0], status, answer)
				}
			}
		}()
	}
	wg.Wait()
	if len(e.endpoints) != 0 {
		t.Errorf("%d endpoints left", len(e.endpoints))
	}
}

// A socket whose file somebody removed is made again.
func TestSocketComesBack(t *testing.T) {
	dir, err := os.MkdirTemp("", "dovesnap-plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	call, stop := serveIn(t, dir, newEngine())
	path := filepath.Join(dir, "ovs.sock")
	for range 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		for { // the test's own time limit ends it
			if _, err := os.Stat(path); err == nil {
				break
			}
			runtime.Gosched()
		}
	}
	if status, answer := call("Plugin.Activate", ""); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestSocketsAreRootsAlone(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "ovs.sock")
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	listeners, err := Listen(dir, []string{"ovs", "dovesnap"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ovs", "dovesnap"} {
		info, err := os.Stat(filepath.Join(dir, name+".sock"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if err := RemoveSockets(dir, []string{"ovs"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(stale); err != nil {
		t.Error("a socket that is served was removed")
	}
	for _, l := range listeners {
		l.Close()
	}
	if err := RemoveSockets(dir, []string{"ovs", "dovesnap"}); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
