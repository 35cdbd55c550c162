// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rung waits for the bell.
func rung(t testing.TB, s *Switch, why string) {
	t.Helper()
	select {
	case <-s.PortsChanged():
	case <-time.After(20 * time.Second):
		t.Fatalf("not rung: %s", why)
	}
}

// Each change of a port is followed by a ring after which ForeignPorts tells it.
func TestPortsChanged(t *testing.T) {
	d := startOVS(t)
	s, ctx, n := d.connect(), within(t, 60*time.Second), network(1)
	rung(t, s, "the monitor has begun")
	if err := s.EnsureBridge(ctx, n, true); err != nil {
		t.Fatal(err)
	}
	number := func() string {
		found, err := s.ForeignPorts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found[n.ID])
	}
	await := func(want string) {
		t.Helper()
		for number() != want {
			rung(t, s, want)
		}
	}
	// vswitchd sets the number after the row is there, so that --no-wait returns
	// before the change that matters.
	d.vsctl("--no-wait", "add-port", n.Bridge, "tap0", "--", "set", "Interface", "tap0", "ofport_request=30")
	await("[{tap0 30}]")
	d.vsctl("--no-wait", "set", "Interface", "tap0", "ofport_request=31")
	await("[{tap0 31}]")
	d.vsctl("--no-wait", "del-port", "tap0")
	await("[]")

	kill(d.server)
	d.await("the loss", func() bool { return !s.Connected() })
	select { // one of before
	case <-s.PortsChanged():
	default:
	}
	d.startServer()
	rung(t, s, "something may have been missed")
	d.vsctl("--no-wait", "add-port", n.Bridge, "tap1", "--", "set", "Interface", "tap1", "ofport_request=32")
	d.await("the connection", s.Connected)
	await("[{tap1 32}]")
}

// What is said on the wire: no row to begin with, and only those columns. An update
// rings, an echo is answered, a refusal is an error.
func TestMonitorOnTheWire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	server, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := New("unix:"+path, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- s.monitor(context.Background()) }()
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	says := func(want string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if diff := cmp.Diff(want, lines.Text()); diff != "" {
			t.Error(diff)
		}
	}
	const monitored = `{"columns":[%s],"select":{"initial":false}}`
	says(`{"id":0,"method":"monitor","params":["Open_vSwitch","ports",{` + strings.Join([]string{
		`"Bridge":` + fmt.Sprintf(monitored, `"ports"`),
		`"Interface":` + fmt.Sprintf(monitored, `"name","ofport"`),
		`"Port":` + fmt.Sprintf(monitored, `"interfaces"`),
	}, ",") + `}]}`)
	for _, text := range []string{
		`{"id":0,"result":{},"error":null}`,
		`{"id":null,"method":"update","params":["ports",{"Interface":{}}]}{"id":null,"method":"update","params":["ports",{}]}`,
	} {
		fmt.Fprint(conn, text)
		rung(t, s, text)
	}
	fmt.Fprint(conn, `{"id":"echo","method":"echo","params":["a"]}`)
	says(`{"result":["a"],"error":null,"id":"echo"}`)
	fmt.Fprint(conn, `{"id":0,"result":null,"error":{"error":"unknown table"}}`)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "unknown table") {
		t.Errorf("ended with %v", err)
	}
}

func TestMonitorEndsWithItsContext(t *testing.T) {
	server, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := New("unix:"+server.Addr().String(), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	end := s.accompany(ctx)
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	end() // returns when the goroutine has
}

// BenchmarkPortsChanged attaches ports, each of which rings, ten with somebody who
// listens and ten without, in turns, and reports both medians.
func BenchmarkPortsChanged(b *testing.B) {
	d := startOVS(b)
	ctx, n := within(b, 5*time.Minute), network(1)
	s := New(d.endpoint(), slog.New(slog.DiscardHandler))
	ses, err := dial(ctx, s.endpoint) // a session without the bell that Run hangs up
	must(b, err)
	defer ses.client.Close()
	s.publish(ses)
	must(b, s.EnsureBridge(ctx, n, true))
	took := map[bool][]time.Duration{}
	for i := 0; b.Loop(); i++ {
		listens := i%2 == 1
		end := func() {}
		if listens {
			end = s.accompany(ctx)
			rung(b, s, "the monitor has begun")
		}
		for e := 1; e <= 10; e++ {
			begin := time.Now()
			_, err := s.EnsurePort(ctx, n, endpoint(1, e))
			took[listens] = append(took[listens], time.Since(begin))
			must(b, err)
			must(b, s.DeletePort(ctx, endpoint(1, e).ID))
		}
		end()
	}
	for listens, name := range map[bool]string{false: "alone-us", true: "listening-us"} {
		slices.Sort(took[listens])
		b.ReportMetric(float64(took[listens][len(took[listens])/2].Microseconds()), name)
	}
}
