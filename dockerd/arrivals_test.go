// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"dovesnap/reconcile"
)

var nobody = strings.Replace(inspected, boxID, "ep-"+epID, 1)

const startEvent = `{"Type":"container","Action":"start","Actor":{"ID":"` + boxID + `","Attributes":{"dovesnap.faucet.portacl":"strict","name":"box"}}}`

// The engine hears at once, however long the views take.
func TestArrivals(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers map[string][]string
		events  []string
		want    []string
	}{
		{"a network", nil, []string{networkEvent("create", "ovs")}, []string{named}},
		{"a container", nil, []string{networkEvent("connect", "dovesnap")}, []string{attached}},
		{"of others", nil, []string{networkEvent("create", "bridge"), networkEvent("connect", "bridge"), networkEvent("connect", "ovs")}, []string{attached}},
		{"a name first", nil, []string{networkEvent("create", "ovs"), networkEvent("connect", "ovs")}, []string{named, attached}},
		{"an endpoint late", map[string][]string{"/networks/" + netID: {nobody, nobody, nobody, inspected}},
			[]string{networkEvent("connect", "ovs")}, []string{attached}},
		{"a container late", map[string][]string{"/containers/json": {"[]", "[]", fmt.Sprintf(listed, "created")}},
			[]string{networkEvent("connect", "ovs")}, []string{attached}},
		{"an answer that fails", map[string][]string{"/containers/json": {"", fmt.Sprintf(listed, "created")}},
			[]string{networkEvent("connect", "ovs")}, []string{attached}},
		{"an answer that hangs", map[string][]string{"/networks/" + netID: {"hang", inspected}},
			[]string{networkEvent("connect", "ovs")}, []string{attached}},
		{"one that runs", map[string][]string{"/containers/json": {fmt.Sprintf(listed, "running")}},
			[]string{networkEvent("connect", "ovs")}, []string{attached, started}},
		{"one that starts", map[string][]string{"/containers/json": {fmt.Sprintf(listed, "created"), fmt.Sprintf(listed, "running")}},
			[]string{networkEvent("connect", "ovs"), "attached", startEvent}, []string{attached, started}},
		{"one that starts without labels", nil, []string{strings.Replace(startEvent, "dovesnap", "other", 1), networkEvent("create", "ovs")}, []string{named}},
		{"one that has ended again", map[string][]string{"/containers/json": {fmt.Sprintf(listed, "exited")}},
			[]string{startEvent, networkEvent("connect", "ovs")}, []string{attached}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, e := serve(t), &engine{}
			d.set("/networks", "hang") // no view
			for path, answers := range test.answers {
				d.set(path, answers...)
			}
			watch(t, d, e)
			for _, event := range test.events {
				if event == "attached" {
					e.hears(t, test.want[0])
					test.want = test.want[1:]
					continue
				}
				d.events <- event
			}
			e.hears(t, test.want...)
		})
	}
}

// An endpoint that the driver has just made is known by the container's name
// until it has joined.
func TestExpectedArrival(t *testing.T) {
	none := strings.Replace(inspected, epID, "other", 1)
	for name, answers := range map[string][]string{"joined": {inspected}, "made": {nobody}, "late": {none, none, nobody}, "joins meanwhile": {nobody, inspected}} {
		t.Run(name, func(t *testing.T) {
			d, e := serve(t), &engine{}
			d.set("/networks/"+netID, answers...)
			d.set("/networks", "hang")
			d.set("/containers/json", fmt.Sprintf(listed, "running"))
			w := watch(t, d, e)
			d.events <- networkEvent("disconnect", "ovs") // connected
			w.Expect(netID, epID)
			e.hears(t, attached)
			d.events <- networkEvent("create", "ovs")
			e.hears(t, named) // and not started, which an event tells
		})
	}
}

// Started never comes before Attached of the same container.
func TestStartWaitsForAttached(t *testing.T) {
	a, e := alone(t, serve(t))
	a.event(message("connect"))
	a.mu.Lock()
	a.started = append(a.started, boxID)
	a.mu.Unlock()
	missing, there := &found{}, &found{}
	attach := a.attach
	a.start(t.Context(), boxID, missing)
	if len(e.calls) != 0 || len(a.started) != 2 {
		t.Fatalf("started %q with %d calls", a.started, len(e.calls))
	}
	a.attached(t.Context(), attach[0], there)
	if len(a.attach) != 1 {
		t.Errorf("not waited for: %+v", a.attach)
	}
}

// What is not shown in time, or has left, is not waited for.
func TestArrivalIsForgotten(t *testing.T) {
	d := serve(t)
	d.set("/networks/"+netID, nobody)
	a, e := alone(t, d)
	a.event(message("connect"))
	if !a.round(t.Context()) {
		t.Error("not waited for")
	}
	a.event(message("disconnect"))
	if a.round(t.Context()) {
		t.Error("waited for after it has left")
	}
	stirred := 0
	a.stir, a.patience = func() { stirred++ }, 0
	a.event(message("connect"))
	if a.round(t.Context()) || stirred != 2 {
		t.Errorf("waited for too long, or no view was asked for: %d", stirred)
	}
	a.patience = time.Hour
	d.set("/networks/"+netID, "")
	a.event(message("connect"))
	if a.round(t.Context()) {
		t.Error("waited for in a network that has gone")
	}
	if len(e.calls) != 0 {
		t.Errorf("engine heard %q", <-e.calls)
	}
}

// Many who come together are asked for together.
func TestArrivalsTogether(t *testing.T) {
	d := serve(t)
	a, e := alone(t, d)
	for range 3 {
		a.event(message("connect"))
	}
	a.expect(netID, epID)
	a.round(t.Context())
	if asked := d.count("/networks/"); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	e.hears(t, attached, attached)
}

// alone returns arrivals whose rounds the test makes.
func alone(t *testing.T, d *docker) (*arrivals, *engine) {
	e := &engine{views: make(chan reconcile.DockerView, 10), calls: make(chan string, 100)}
	c, err := client.New(client.WithHost("unix://"+d.path), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newArrivals(c, e, []string{"ovs"}, func() {}, slog.New(slog.DiscardHandler)), e
}

func message(action events.Action) events.Message {
	return events.Message{Type: events.NetworkEventType, Action: action,
		Actor: events.Actor{ID: netID, Attributes: map[string]string{"container": boxID, "name": "mynet", "type": "ovs"}}}
}
