// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// A report is tables of figures for a person, printed when all are there.
type report struct {
	title  string
	tables []*table
}

type table struct{ lines [][]string }

// table adds a table: what it is of, and its columns.
func (r *report) table(what string, columns ...string) *table {
	t := &table{}
	r.tables = append(r.tables, t)
	t.row(what, columns...)
	return t
}

func (t *table) row(what string, cells ...string) {
	t.lines = append(t.lines, append([]string{what}, cells...))
}

// compare adds a row of the contenders' samples, and the ratio of each one's
// median to the first's.
func (t *table) compare(what string, of map[string]samples, show func(samples) string, goal string) {
	first := of[contenders[0].network]
	cells := []string{show(first)}
	for _, c := range contenders[1:] {
		s, there := of[c.network]
		if !there {
			continue
		}
		cells = append(cells, show(s), ratio(s, first))
	}
	t.row(what, append(cells, goal)...)
}

func (r *report) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n", r.title)
	for _, t := range r.tables {
		w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w)
		for i, line := range t.lines {
			fmt.Fprintln(w, strings.Join(line, "\t"))
			if i == 0 {
				fmt.Fprintln(w, strings.Repeat("-", len(line[0]))+strings.Repeat("\t", len(line)-1))
			}
		}
		_ = w.Flush()
	}
	fmt.Fprintln(to)
}

// samples are measurements of one thing.
type samples []float64

// ms adds a duration in milliseconds.
func (s *samples) ms(d time.Duration) { *s = append(*s, d.Seconds()*1000) }

// quantile returns the smallest sample that is not less than the share q of
// them all, NaN of none.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

func (s samples) median() float64 { return s.quantile(0.5) }

// ratio is that of two medians.
func ratio(of, to samples) string { return fmt.Sprintf("%.2f", of.median()/to.median()) }

// quartiles shows the median and the middle half of the samples.
func quartiles(s samples) string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median(), s.quantile(0.25), s.quantile(0.75))
}

// most shows the median and the largest sample.
func most(s samples) string { return fmt.Sprintf("%.1f (max %.1f)", s.median(), s.quantile(1)) }

func TestQuantile(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.2: 1, 0.5: 3, 0.9: 5, 1: 5} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	if !math.IsNaN(samples(nil).median()) {
		t.Error("nothing has a median")
	}
}
