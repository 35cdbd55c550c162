// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"testing"

	"dovesnap/spec"

	"github.com/google/go-cmp/cmp"
)

var errInjected = errors.New("injected")

// stepper fails, or ends the work as a crash does, at one of its steps.
type stepper struct {
	at, count int
	crash     bool
	where     string
}

func (s *stepper) step(what string) error {
	s.count++
	if s.count != s.at {
		return nil
	}
	s.where = what
	if s.crash {
		panic(s)
	}
	return errInjected
}

// until does something that a crash may end.
func until(do func() error) (err error) {
	defer func() {
		if _, ok := recover().(*stepper); ok {
			err = errInjected
		}
	}()
	return do()
}

// sparse is enough for each kind of step, in fewer of them.
var sparse = []string{
	"addr add 192.0.2.5/24 dev eth7", "addr add 192.0.2.6/24 dev eth7 label eth7:1", "addr add 2001:db8::5/64 dev eth7",
	"route add default via 192.0.2.1 dev eth7", "route add default via 2001:db8::1 dev eth7 metric 5",
}

// eachStep runs test with a failure at each step of work in turn, on a host that is
// made anew, until work has no such step.
func eachStep(t *testing.T, crash bool, test func(t *testing.T, n spec.Network, l *Links, s *stepper)) {
	for k := 1; ; k++ {
		s := &stepper{at: k, crash: crash}
		t.Run("", func(t *testing.T) {
			n, l, _ := migrating(t)
			ip(t, sparse...)
			test(t, n, l, s)
		})
		if s.where == "" || t.Failed() {
			if k < len(sparse) && !t.Failed() {
				t.Errorf("only %d steps", k-1)
			}
			return
		}
	}
}

func removed(t testing.TB, l *Links, n spec.Network) {
	t.Helper()
	must(t, l.ReturnUplinks(deadline(t), n))
	unplug(t)
	must(t, l.ReleaseNetwork(deadline(t), n))
}

func same(t testing.TB, before, when string) {
	t.Helper()
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Errorf("not as it was, %s: %s", when, diff)
	}
}

// What fails is taken back as a whole, while the interface is in the bridge still.
func TestMigrationFails(t *testing.T) {
	eachStep(t, false, func(t *testing.T, n spec.Network, l *Links, s *stepper) {
		before := snapshot(t)
		plug(t)
		l.step = s.step
		err := ensure(l, deadline(t), n)
		l.step = nil
		if s.where == "" {
			must(t, err)
			return
		}
		wantError(t, err, `cannot set up bridge "br9": `, "injected")
		if left := globals(t, "br9"); len(left) > 0 {
			t.Errorf("left on the bridge after a failure at %q: %v", s.where, left)
		}
		removed(t, l, n)
		same(t, before, "after a failure at: "+s.where)
	})
}

// After a crash, the next dovesnap goes on, be the network still wanted or not.
func TestMigrationCrashes(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		eachStep(t, true, func(t *testing.T, n spec.Network, l *Links, s *stepper) {
			before := snapshot(t)
			plug(t)
			l.step = s.step
			err := until(func() error { return ensure(l, deadline(t), n) })
			next := newLinks().RecordIn(l.records)
			if s.where == "" {
				must(t, err)
				return
			}
			if wanted {
				must(t, ensure(next, deadline(t), n))
				if left := globals(t, "eth7"); len(left) > 0 {
					t.Errorf("left on the interface: %v", left)
				}
			}
			removed(t, next, n)
			same(t, before, "after a crash at: "+s.where)
		})
	}
}

// A return that ends half-way is done by the next: the network is still in the
// database, so that it first migrates again.
func TestReturnCrashes(t *testing.T) {
	for _, again := range []bool{true, false} {
		eachStep(t, true, func(t *testing.T, n spec.Network, l *Links, s *stepper) {
			before := snapshot(t)
			plug(t)
			must(t, ensure(l, deadline(t), n))
			l.step = s.step
			err := until(func() error { return l.ReturnUplinks(deadline(t), n) })
			if s.where == "" {
				must(t, err)
				return
			}
			next := newLinks().RecordIn(l.records)
			if again {
				must(t, ensure(next, deadline(t), n))
			}
			removed(t, next, n)
			same(t, before, "after a crash at: "+s.where)
		})
	}
}

// The bridge went without notice: ovs-vsctl del-br, a lost database, vswitchd's
// end on its userspace datapath.
func TestBridgeVanishes(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, n spec.Network, l *Links){
		"made anew": func(t *testing.T, n spec.Network, l *Links) {
			plug(t)
			must(t, ensure(l, deadline(t), n))
			if left := globals(t, "eth7"); len(left) > 0 {
				t.Errorf("left on the interface: %v", left)
			}
			removed(t, l, n)
		},
		"made anew, then removed at once": func(t *testing.T, n spec.Network, l *Links) {
			plug(t)
			removed(t, l, n)
		},
		"removed": func(t *testing.T, n spec.Network, l *Links) {
			must(t, l.ReturnUplinks(deadline(t), n))
			must(t, l.ReleaseNetwork(deadline(t), n))
		},
		"forgotten": func(t *testing.T, n spec.Network, l *Links) {
			must(t, l.SweepUplinks(deadline(t), func(id spec.NetworkID) bool { return id == n.ID }))
			if globals := globals(t, "eth7"); len(globals) > 0 {
				t.Errorf("given back though the network is known: %v", globals)
			}
			must(t, l.SweepUplinks(deadline(t), func(spec.NetworkID) bool { return false }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, l, _ := migrating(t)
			ip(t, carried...)
			before := snapshot(t)
			plug(t)
			must(t, ensure(l, deadline(t), n))
			unplug(t)
			then(t, n, newLinks().RecordIn(l.records))
			same(t, before, name)
		})
	}
}
