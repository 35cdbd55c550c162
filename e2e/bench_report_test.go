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

// compare adds a row of the contenders' figures, each beside its ratio to the
// first's.
func (t *table) compare(what, format string, figures map[string]float64, goal string) {
	first := figures[contenders[0].network]
	cells := []string{fmt.Sprintf(format, first)}
	for _, c := range contenders[1:] {
		cells = append(cells, fmt.Sprintf(format, figures[c.network]), ratio(figures[c.network], first))
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

// each applies a statistic to the samples of every contender.
func each(of map[string]samples, statistic func(samples) float64) map[string]float64 {
	out := map[string]float64{}
	for name, s := range of {
		out[name] = statistic(s)
	}
	return out
}

func ratio(of, to float64) string { return fmt.Sprintf("%.2f", of/to) }

func ms(v float64) string { return fmt.Sprintf("%.1f", v) }

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
