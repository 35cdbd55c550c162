// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// awaited is a bridge that its controllers are to set up anew.
type awaited struct {
	bridge    bridge
	permanent []string // the flows that do not come and go with what a controller learns
}

// controlled lists those snapshots whose bridge has a controller; none where a
// bridge is on the userspace datapath, whose threads are stopped more often, and
// which has no flows that outlived ovs-vswitchd.
func (f *flowStore) controlled(ctx context.Context, of []snapshot) (list []awaited, err error) {
	results, err := f.cfg.transact(ctx, op{"op": "select", "table": "Bridge", "where": []any{},
		"columns": []string{"name", "datapath_type", "controller"}})
	if err != nil {
		return nil, err
	}
	for _, row := range results[0].Rows {
		if kind := text(row["datapath_type"]); kind != "" && kind != "system" {
			return nil, nil
		}
		i := slices.IndexFunc(of, func(s snapshot) bool { return s.bridge.name == text(row["name"]) })
		if i < 0 || members(row["controller"]) == 0 {
			continue
		}
		if a := of[i].awaited(); len(a.permanent) > 0 {
			list = append(list, a)
		}
	}
	return list, nil
}

func (s snapshot) awaited() awaited {
	a := awaited{bridge: s.bridge}
	for _, line := range strings.Split(s.text, "\n") {
		if flow, ok := strings.CutPrefix(line, "flow add "); ok && !strings.Contains(flow, "_timeout=") {
			a.permanent = append(a.permanent, flow)
		}
	}
	return a
}

// awaitSetUp waits until the controllers have set up the bridges anew since an
// earlier moment, and returns the names of those that were not. A controller that
// does not begin within SetUpBegins is away, or is one that keeps what it finds.
// SetUpWithin bounds the questions too: one to a switch that hangs takes long.
func (f *flowStore) awaitSetUp(ctx context.Context, p process, waiting []awaited, since time.Time) (left []string) {
	within, cancel := context.WithTimeout(ctx, f.cfg.SetUpWithin)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	began, misses := time.Now(), 0
	for {
		begun := false
		for _, a := range slices.Clone(waiting) {
			elapsed := time.Since(since)
			dump, err := f.stats(within, a.bridge)
			if err != nil {
				misses++
				if misses >= f.cfg.Misses || within.Err() != nil {
					break
				}
				continue
			}
			misses = 0
			one, done := a.setUp(dump, elapsed)
			begun = begun || one
			if done {
				waiting = slices.DeleteFunc(waiting, func(w awaited) bool { return w.bridge == a.bridge })
			}
		}
		if len(waiting) == 0 || misses >= f.cfg.Misses || within.Err() != nil || !begun && time.Since(began) > f.cfg.SetUpBegins {
			break
		}
		select {
		case <-within.Done():
		case <-p.Done():
			return nil
		case <-tick.C:
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	for _, a := range waiting {
		left = append(left, a.bridge.name)
	}
	return left
}

// stats is a dump with statistics, of which the ages are of use.
func (f *flowStore) stats(ctx context.Context, b bridge) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.ProbeTimeout)
	defer cancel()
	return f.ofctl(ctx, b, "", "dump-flows")
}

var (
	flowAge   = regexp.MustCompile(`duration=([0-9.]+)s, `)
	flowStats = regexp.MustCompile(`(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, |(cookie=0x0|table=0), `)
)

// setUp judges a dump: a controller has begun to set the bridge up when a flow is
// gone or younger than within, and is done when all those that stay are back and
// younger. The restored ones are older.
func (a awaited) setUp(dump string, within time.Duration) (begun, done bool) {
	missing := map[string]bool{}
	for _, flow := range a.permanent {
		missing[flow] = true
	}
	old := 0
	for _, line := range matching(dump, "actions=", "") {
		age := flowAge.FindStringSubmatch(line)
		if age == nil {
			continue
		}
		seconds, err := strconv.ParseFloat(age[1], 64)
		flow := flowStats.ReplaceAllString(line, "")
		young := err == nil && seconds < within.Seconds()
		switch {
		case young:
			begun = true
			delete(missing, flow)
		case missing[flow]:
			old++
		}
	}
	return begun || old < len(missing), len(missing) == 0
}
