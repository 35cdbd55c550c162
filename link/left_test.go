// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"runtime"
	"testing"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Docker moves the other end into a container, sets it up there, and gives it back.
// Whoever sets it up and down here before does not make it look so.
func TestLeft(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	e := endpoint("0123456789ab")
	must(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, e, false))
	wantFound := func(when string, held, left bool) {
		t.Helper()
		found, err := l.Endpoints(ctx)
		if err != nil || len(found) != 1 || found[0].Held != held || found[0].Left != left {
			t.Errorf("%s: %+v, %v", when, found, err)
		}
	}
	wantFound("just made", false, false)
	end := byName(t, spec.ContainerLink(e.ID))
	must(t, netlink.LinkSetUp(end))
	wantFound("up on the host", false, false)
	must(t, netlink.LinkSetDown(end))
	wantFound("down again on the host", false, false)

	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	container := sibling(t)
	must(t, netlink.LinkSetNsFd(end, int(container)))
	wantFound("in a container", true, false)
	inside, err := netlink.NewHandleAt(container)
	must(t, err)
	defer inside.Close()
	end, err = inside.LinkByName(spec.ContainerLink(e.ID))
	must(t, err)
	must(t, inside.LinkSetUp(end))
	wantFound("up in a container", true, false)
	must(t, inside.LinkSetDown(end))
	must(t, inside.LinkSetNsFd(end, int(here)))
	wantFound("given back", false, true)
	must(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, e, false))
	wantFound("given back, and looked after", false, true)
}

// A container that starts while somebody looks has not left.
func TestNotLeftWhileItStarts(t *testing.T) {
	newNetns(t)
	here, err := netns.Get()
	must(t, err)
	t.Cleanup(func() { here.Close() })
	ctx, l, n := t.Context(), newLinks(), spec.Network{ID: networkID}
	for i := range 20 { // more to look at
		must(t, l.EnsureVeth(ctx, n, endpoint(fmt.Sprintf("0000000000%02x", i)), false))
	}
	stop, wrong := make(chan struct{}), make(chan string)
	go func() {
		runtime.LockOSThread() // never unlocked
		defer close(wrong)
		if err := netns.Set(here); err != nil {
			wrong <- err.Error()
			return
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			found, _ := l.Endpoints(ctx) // a dump that is interrupted again and again is an error
			for _, f := range found {
				if f.Left {
					wrong <- f.Link
				}
			}
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for link := range wrong {
			t.Errorf("%s is said to have left", link)
		}
	}()
	for i := range 100 {
		e := endpoint(fmt.Sprintf("ffff%08x", i))
		must(t, l.EnsureVeth(ctx, n, e, false))
		container := sibling(t)
		inside, err := netlink.NewHandleAt(container)
		must(t, err)
		must(t, netlink.LinkSetNsFd(byName(t, spec.ContainerLink(e.ID)), int(container)))
		end, err := inside.LinkByName(spec.ContainerLink(e.ID))
		must(t, err)
		must(t, inside.LinkSetName(end, "eth0"))
		must(t, inside.LinkSetUp(end))
		must(t, l.DeleteVeth(ctx, e.ID)) // never given back
		inside.Close()
	}
	close(stop)
	<-done
}

// Where the host end was down all the time, nothing tells.
func TestNotKnownToHaveLeft(t *testing.T) {
	newNetns(t)
	ctx, l := deadline(t), newLinks()
	e := endpoint("0123456789ab")
	e.Held = true
	must(t, l.EnsureVeth(ctx, spec.Network{ID: networkID}, e, false))
	end := byName(t, spec.ContainerLink(e.ID))
	must(t, netlink.LinkSetUp(end))
	must(t, netlink.LinkSetDown(end))
	if found, err := l.Endpoints(ctx); err != nil || len(found) != 1 || found[0].Left {
		t.Errorf("%+v, %v", found, err)
	}
}
