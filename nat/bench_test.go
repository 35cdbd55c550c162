// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"slices"
	"testing"
	"time"

	"dovesnap/spec"
)

// BenchmarkPublish adds and removes one mapping on a host without others, and
// beside 499, and prints the medians' ratio; also what Check costs when nobody
// changed anything, and when somebody did.
func BenchmarkPublish(b *testing.B) {
	for _, flavour := range flavours {
		b.Run(flavour, func(b *testing.B) {
			h := newHost(b, flavour)
			h.apply(dualE)
			first := h.median(b, h.addAndRemove)
			for n := 1; n < 500; n++ {
				must(b, h.Publish(h.ctx, dualE, mapping(n)))
			}
			last := h.median(b, h.addAndRemove)
			check := h.median(b, func() { h.changed() })
			read := h.median(b, func() {
				h.v4.seen, h.v6.seen = "", ""
				h.changed()
			})
			b.ReportMetric(float64(first.Microseconds())/1000, "ms/1st")
			b.ReportMetric(float64(last.Microseconds())/1000, "ms/500th")
			b.ReportMetric(float64(last)/float64(first), "ratio")
			b.ReportMetric(float64(check.Nanoseconds())/1000, "µs/check")
			b.ReportMetric(float64(read.Microseconds())/1000, "ms/check-after-change")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func mapping(n int) spec.Endpoint {
	e := three(n)
	e.Published = e.Published[:1]
	return e
}

func (h *host) addAndRemove() {
	must(h, h.Publish(h.ctx, dualE, mapping(0)))
	must(h, h.Unpublish(h.ctx, endpointID(0)))
}

func (h *host) median(b *testing.B, f func()) time.Duration {
	f()
	var took []time.Duration
	for range max(b.N, 15) {
		start := time.Now()
		f()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
