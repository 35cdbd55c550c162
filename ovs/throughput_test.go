// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"dovesnap/spec"
)

// throughput measures a TCP stream from one namespace to another, in bits per
// second of payload, over a number of bytes; those before, a third of it, fill
// queues and use up bursts.
func throughput(t testing.TB, from, to netns.NsHandle, address string, count int64) float64 {
	t.Helper()
	var listener net.Listener
	var out net.Conn
	var err error
	inside(t, to, func() { listener, err = net.Listen("tcp", address+":0") })
	must(t, err)
	defer listener.Close()
	inside(t, from, func() { out, err = net.DialTimeout("tcp", listener.Addr().String(), 20*time.Second) })
	must(t, err)
	go func() {
		defer out.Close()
		_, _ = io.CopyN(out, zeros{}, count+count/3)
	}()
	in, err := listener.Accept()
	must(t, err)
	defer in.Close()
	_, err = io.CopyN(io.Discard, in, count/3)
	must(t, err)
	begin := time.Now()
	_, err = io.CopyN(io.Discard, in, count)
	must(t, err)
	return float64(count) * 8 / time.Since(begin).Seconds()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A stream gets what the limit lets through, within a tenth: not more, and not
// less, which a busy machine may have to try again.
func TestRateInIsKept(t *testing.T) {
	for _, rate := range []spec.BitRate{1e6, 10e6, 200e6} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			d := startUserspace(t)
			s, ctx, n := d.connect(), within(t, time.Minute), plain(1)
			must(t, s.EnsureBridge(ctx, n, true))
			limited, other := endpoint(1, 1), endpoint(1, 2)
			limited.RateIn = rate
			to := container(t, spec.HostLink(limited.ID), "10.9.0.1/24")
			from := container(t, spec.HostLink(other.ID), "10.9.0.2/24")
			for _, e := range []spec.Endpoint{limited, other} {
				_, err := s.EnsurePort(ctx, n, e)
				must(t, err)
			}
			count := int64(rate) / 8 * 3 / 2
			got := math.Inf(1)
			for try := 0; try < 3 && math.Abs(got-1) > 0.1; try++ {
				got = throughput(t, from, to, "10.9.0.1", count) / float64(rate)
				t.Logf("a stream gets %.3f of the rate", got)
			}
			if math.Abs(got-1) > 0.1 {
				t.Error("that is more than a tenth off")
			}
			if rate > 100e6 {
				return // what this machine does without a limit may not be much more
			}
			// The other direction is not limited, nor is what has lost its limit.
			if got := throughput(t, to, from, "10.9.0.2", 8*count) / float64(rate); got < 1.5 {
				t.Errorf("the other direction gets %.2f of the rate", got)
			}
			limited.RateIn = 0
			_, err := s.EnsurePort(ctx, n, limited)
			must(t, err)
			if got := throughput(t, from, to, "10.9.0.1", 8*count) / float64(rate); got < 1.5 {
				t.Errorf("without a limit it gets %.2f of the rate", got)
			}
		})
	}
}
