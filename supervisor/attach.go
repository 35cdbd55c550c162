// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// attach watches an Open vSwitch of somebody else: it starts nothing, writes
// nothing, and tells when a daemon was replaced.
func (s *Supervisor) attach(ctx context.Context) {
	seen := map[string]int{} // the pid each daemon last served with
	waiting := false
	for {
		children, serving := s.look(ctx)
		s.mu.Lock()
		s.status.Children = keepSince(s.status.Children, children)
		s.mu.Unlock()

		if !serving && !waiting {
			s.log.Warn("waiting for Open vSwitch", "endpoint", s.Endpoint(), "ovsdb", children[0].LastError, "vswitchd", children[1].LastError)
		}
		if serving && s.replaced(seen, children) {
			s.log.Info("Open vSwitch was restarted", "endpoint", s.Endpoint())
			s.tellChanged()
		}
		if serving {
			s.isReady()
		}
		waiting = !serving
		pause := s.cfg.ProbeEvery
		if waiting {
			pause = min(pause, 500*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// look probes both daemons. The pid is the pidfile's text: the lock's owner may
// be invisible, in a container, while the control sockets bear the same number.
func (s *Supervisor) look(ctx context.Context) (children []Child, serving bool) {
	serving = true
	for _, name := range []string{ovsdbServer, ovsVswitchd} {
		c := Child{Name: name, State: Ready, Since: time.Now(), PID: pidIn(s.cfg.pidFile(name))}
		_, err := s.cfg.version(ctx, name, c.PID)
		if err == nil && name == ovsdbServer {
			err = s.cfg.answers(ctx)
		}
		if c.PID == 0 {
			err = fmt.Errorf("%s does not run: no pid in %s", name, s.cfg.pidFile(name))
		}
		if err != nil {
			c.State, c.LastError, serving = Stopped, err.Error(), false
		}
		children = append(children, c)
	}
	if now, err := s.cfg.root(ctx); err == nil {
		s.mu.Lock()
		s.status.UserspaceTSO = now.other["userspace-tso-enable"] == "true"
		s.mu.Unlock()
	}
	return children, serving
}

// replaced notes the pids and says whether one changed.
func (s *Supervisor) replaced(seen map[string]int, children []Child) (changed bool) {
	for _, c := range children {
		if old := seen[c.Name]; old != 0 && old != c.PID {
			changed = true
		}
		seen[c.Name] = c.PID
	}
	return changed
}

// keepSince carries what a probe cannot know from the last look.
func keepSince(old, now []Child) []Child {
	for i := range min(len(old), len(now)) {
		if now[i].State == old[i].State && now[i].PID == old[i].PID {
			now[i].Since = old[i].Since
		}
		now[i].Restarts = old[i].Restarts
		if now[i].State == Ready && old[i].PID != 0 && now[i].PID != old[i].PID {
			now[i].Restarts++
		}
	}
	return now
}

func pidIn(path string) int {
	b, _ := os.ReadFile(path) // no pidfile: pid 0, whose control socket does not exist
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// watchStrangers reports a second ovs-vswitchd in our network namespace, which
// takes bridges away from the first. It is reported, never fought.
func (s *Supervisor) watchStrangers(ctx context.Context) {
	var last []int
	for {
		if now := s.cfg.strangers(); !slices.Equal(now, last) {
			last = now
			s.reportStrangers(now)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(6 * s.cfg.ProbeEvery):
		}
	}
}

func (s *Supervisor) reportStrangers(pids []int) {
	conflict := ""
	if len(pids) > 0 {
		conflict = "another ovs-vswitchd (pid " + strconv.Itoa(pids[0]) + ") runs in this network namespace: two of them delete each other's ports; stop one"
		s.log.Error("conflict", "err", conflict)
	} else {
		s.log.Info("the other ovs-vswitchd is gone")
	}
	s.mu.Lock()
	s.status.Conflict = conflict
	s.mu.Unlock()
}
