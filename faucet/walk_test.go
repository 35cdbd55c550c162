// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"dovesnap/spec"
)

// TestSettledNeverLies walks at random through wants, loads, refusals, failures
// half-way, edits of the operator's and restarts. Whenever a port is said to be
// settled, what Faucet has in force for it, and what it could load at that very
// moment, must be what is wanted. In the end, all must be settled.
func TestSettledNeverLies(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for i := range uint64(100) {
		w := &walk{t: t, seed: seed + i, rnd: rand.New(rand.NewPCG(seed+i, 0)), state: filepath.Join(t.TempDir(), "state")}
		w.run()
		if t.Failed() {
			t.Fatalf("seed %d, after: %v", w.seed, w.history)
		}
	}
}

type walk struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	state   string
	b       *memBackend
	c       *Courier
	wanted  spec.State
	history []string
	parsed  map[string]policies
}

func (w *walk) run() {
	w.b = &memBackend{others: operator(w.t, operatorFile), fail: map[string]bool{}}
	w.b.during = w.check
	w.wanted = spec.NewState()
	w.restart()
	for range 60 {
		w.act()
		w.check()
		if w.t.Failed() {
			return
		}
	}
	w.history = append(w.history, "quiet")
	w.b.fail, w.b.refuses, w.b.sent = map[string]bool{}, false, true
	w.c.Want(w.wanted, nil)
	for range 6 {
		w.step()
		w.b.inForce = w.b.ours
	}
	for _, e := range w.wanted.Endpoints {
		n := w.wanted.Networks[e.Network]
		if w.c.others.refuse(n, w.c.config) == nil && !w.c.Settled(n, e) { // else its VLAN clashes
			w.t.Errorf("port %d is not settled in the end", e.OFPort)
		}
	}
	if st := w.c.Status(); !st.Confirmed && len(w.wanted.Networks) > 0 {
		w.t.Errorf("not confirmed in the end: %+v %v", st, w.c.Problems())
	}
}

func (w *walk) act() {
	failures := []string{"look", "check", "deliver", "deliver late", "tell", "loaded"}
	switch n := w.rnd.IntN(14); n {
	case 0, 1, 2:
		w.want()
	case 3, 4, 5, 6:
		w.note("step")
		w.step()
	case 7, 8:
		w.note("load")
		w.b.inForce, w.b.refuses = w.b.ours, false
	case 9:
		w.note("refuse")
		w.b.refuses = true
	case 10, 11:
		what := failures[w.rnd.IntN(len(failures))]
		w.b.fail[what] = !w.b.fail[what]
		w.note(fmt.Sprintf("%s fails: %t", what, w.b.fail[what]))
	case 12:
		w.b.rev++
		w.note("edit")
		if _, has := w.b.others.ACLs["lab"]; has {
			delete(w.b.others.ACLs, "lab")
		} else {
			w.b.others.ACLs["lab"] = false
		}
	case 13:
		w.note("restart")
		w.restart()
	}
	w.b.sent = w.rnd.IntN(2) == 0
}

func (w *walk) note(s string) { w.history = append(w.history, s) }

func (w *walk) restart() { w.c = newCourier(w.b, "", w.state, quiet()) }

// step does what is due at once.
func (w *walk) step() {
	l := &w.c.loop
	l.tryAt, l.sentAt, l.pollAt, l.tellAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	w.c.step(w.t.Context())
}

func (w *walk) want() {
	s := spec.NewState()
	text := "want"
	for _, id := range []string{"a", "b"} {
		if w.rnd.IntN(4) == 0 {
			continue
		}
		n := network(id, func(n *spec.Network) {
			n.Preallocate = number(w.rnd.IntN(3))
			n.DefaultACL = w.anACL()
			n.VLANOutACL = w.anACL()
			n.VLAN = 100 + 100*w.rnd.IntN(2)
		})
		s.Networks[n.ID] = n
		for port := range spec.OFPort(4) {
			if w.rnd.IntN(2) == 0 {
				e := container(n, port+1, acl(w.anACL()))
				s.Endpoints[e.ID] = e
				text += fmt.Sprintf(" %s%d=%s", id, port+1, e.ACL)
			}
		}
	}
	w.note(text)
	w.wanted = s
	w.c.Want(s, nil)
}

func (w *walk) anACL() spec.Expr {
	return []spec.Expr{"", "", "office", "guest", "lab"}[w.rnd.IntN(5)]
}

// parse reads a text, once.
func (w *walk) parse(text string) policies {
	if w.parsed == nil {
		w.parsed = map[string]policies{}
	}
	if _, ok := w.parsed[text]; !ok {
		c, err := Parse(text)
		if err != nil {
			w.t.Fatal(err)
		}
		w.parsed[text] = c.policies()
	}
	return w.parsed[text]
}

// check compares what the Courier says with what is and may be.
func (w *walk) check() {
	if w.t.Failed() {
		return
	}
	inForce, file := w.parse(w.b.inForce), w.parse(w.b.ours)
	for _, e := range w.wanted.Endpoints {
		n := w.wanted.Networks[e.Network]
		if !w.c.Settled(n, e) {
			continue
		}
		w.c.mu.Lock()
		others := w.c.others
		want := fmt.Sprintf("%v %d", endpoint(n, e, others).ACLs, n.VLAN)
		w.c.mu.Unlock()
		for what, c := range map[string]policies{"in force": inForce, "there to be loaded": file} {
			for _, p := range c[port{n.DPID, e.OFPort}] {
				if got := fmt.Sprintf("%s %d", p.acls, p.vlan); got != want {
					w.t.Errorf("port %d of %s is settled, with %s %s and %s wanted", e.OFPort, n.Name, got, what, want)
				}
			}
		}
	}
}
