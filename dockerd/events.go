// SPDX-License-Identifier: Apache-2.0

package dockerd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"dovesnap/spec"
)

// labelPrefix is what the labels begin with that mean something to us.
const labelPrefix = "dovesnap."

// bridgeDriver is Docker's own driver, whose bridges our networks are kept from.
const bridgeDriver = "bridge"

// subscribe asks for the events. Of a container's only those that matter, since
// a health check makes three each time.
func subscribe(ctx context.Context, c *client.Client) (client.EventsResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	// Events waits for the answer's header without a limit of its own.
	late := time.AfterFunc(requestTimeout, func() { cancel(errors.New("no answer")) })
	result := c.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.
		Add("type", string(events.NetworkEventType), string(events.ContainerEventType)).
		Add("event", string(events.ActionCreate), string(events.ActionConnect), string(events.ActionDisconnect),
			string(events.ActionDestroy), string(events.ActionRemove), string(events.ActionStart), string(events.ActionRename))})
	if !late.Stop() {
		return result, fmt.Errorf("cannot follow events: %w", context.Cause(ctx))
	}
	return result, nil // ctx ends with its parent
}

// follow takes events as they come. It never waits for anything else: dockerd
// throws away the events of one who does not read.
func follow(ctx context.Context, from client.EventsResult, a *arrivals) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-from.Err:
			return fmt.Errorf("the event stream ended: %w", err)
		case m := <-from.Messages:
			a.event(m)
		}
	}
}

// event notes what is to be done about an event. That a network's has its name
// and driver, and connect and disconnect the container: moby's
// LogNetworkEventWithAttributes, the same from 1.13 to 29.
func (a *arrivals) event(m events.Message) {
	if m.Type == events.ContainerEventType {
		a.containerEvent(m)
		return
	}
	driver, told := m.Actor.Attributes["type"]
	if driver == bridgeDriver && m.Action != events.ActionConnect && m.Action != events.ActionDisconnect {
		a.stir() // its bridge is to be known
	}
	if told && !slices.Contains(a.drivers, driver) {
		return
	}
	a.stir()
	id, name, container := spec.NetworkID(m.Actor.ID), m.Actor.Attributes["name"], m.Actor.Attributes["container"]
	if !told || id == "" {
		return // the view will tell
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch m.Action {
	case events.ActionCreate:
		a.ours[id] = true
		a.names = append(a.names, naming{id, name})
	case events.ActionConnect:
		a.ours[id] = true
		a.attach = append(slices.DeleteFunc(a.attach, announced(id, container)), attachment{network: id, container: container, since: time.Now()})
	case events.ActionDisconnect:
		a.attach = slices.DeleteFunc(a.attach, announced(id, container))
	case events.ActionDestroy, events.ActionRemove:
		delete(a.ours, id)
	}
	signal(a.wake)
}

// containerEvent looks at containers with labels of ours, which the event has
// among its attributes.
func (a *arrivals) containerEvent(m events.Message) {
	switch {
	case m.Action == events.ActionRename:
		a.stir()
	case m.Action == events.ActionStart && labelled(m.Actor.Attributes):
		a.mu.Lock()
		defer a.mu.Unlock()
		a.started = append(a.started, m.Actor.ID)
		signal(a.wake)
	}
}

func labelled(labels map[string]string) bool {
	for key := range labels {
		if strings.HasPrefix(key, labelPrefix) {
			return true
		}
	}
	return false
}
