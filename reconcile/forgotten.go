// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"time"

	"dovesnap/link"
	"dovesnap/spec"
)

// dockerRuns is how long a view says that Docker runs: there is one a minute at least.
const dockerRuns = 2 * time.Minute

// dockerMemory tells what Docker has just not heard of from what it has
// forgotten. Only the loop uses it.
type dockerMemory struct {
	made    map[string]time.Time // when we made or removed an object, by ID
	missing map[string]time.Time // when an object was first not in a view
	seen    time.Time            // when the last view was taken
	now     func() time.Time
}

func newDockerMemory() *dockerMemory {
	return &dockerMemory{made: map[string]time.Time{}, missing: map[string]time.Time{}, now: time.Now}
}

// touch notes that we made or removed an object just now.
func (m *dockerMemory) touch(id string) { m.made[id] = m.now() }

// fresh reports whether we touched an object after the view was begun, so that
// the view says nothing of it.
func (m *dockerMemory) fresh(id string, v DockerView) bool {
	at, ok := m.made[id]
	return ok && !at.Before(v.Taken)
}

// gone reports whether an object that is not in a view has been missing for
// the whole grace.
func (m *dockerMemory) gone(id string, v DockerView, grace time.Duration) bool {
	if m.fresh(id, v) {
		delete(m.missing, id)
		return false
	}
	first, ok := m.missing[id]
	if !ok {
		m.missing[id] = v.Taken
		return grace == 0
	}
	return v.Taken.Sub(first) >= grace
}

// left reports whether an endpoint's container has left it for good, or will never
// enter it, whatever Docker says: the link is gone with its namespace, the container
// has given it back, or the dockerd that was to move it there has ended. One that
// has yet to be moved is neither: Docker up to 26 asks for everything before that.
func (e *Engine) left(ep spec.Endpoint, present map[spec.EndpointID]link.Found) bool {
	f, linked := present[ep.ID]
	return !linked || f.Left || !f.Held && e.cfg.Ended(ep.Maker)
}

// prune forgets what is too old to matter.
func (m *dockerMemory) prune(v DockerView, grace time.Duration) {
	old := v.Taken.Add(-2*grace - time.Hour)
	for _, times := range []map[string]time.Time{m.made, m.missing} {
		for id, at := range times {
			if at.Before(old) {
				delete(times, id)
			}
		}
	}
}

func (e *Engine) dropForgotten(ctx context.Context, v DockerView) {
	found, err := e.links.Endpoints(ctx)
	if err != nil {
		e.report("links", err)
		return
	}
	present := byEndpoint(found)
	for id, ep := range e.State().Endpoints {
		if _, ok := v.Networks[ep.Network].Endpoints[id]; ok {
			delete(e.docker.missing, string(id))
			continue
		}
		if present[id].Held {
			continue // inside a network namespace: some process holds it, whatever this Docker says
		}
		grace := e.cfg.Grace
		// Docker shows an endpoint before it publishes ports.
		if len(ep.Published) > 0 || e.left(ep, present) {
			grace = 0
		}
		if e.docker.gone(string(id), v, grace) {
			e.log.Info("removing an endpoint that Docker does not know", "endpoint", id.Short(), "ofport", ep.OFPort)
			e.report(SubjectEndpoint(id), e.dropEndpoint(ctx, id))
		}
	}
	for id := range e.State().Networks {
		if _, ok := v.Networks[id]; ok {
			delete(e.docker.missing, string(id))
			continue
		}
		if len(e.State().EndpointsOf(id)) == 0 && e.docker.gone(string(id), v, e.cfg.Grace) {
			e.log.Info("removing a network that Docker does not know", "network", id.Short())
			e.report(SubjectNetwork(id), e.dropNetwork(ctx, id))
		}
	}
}

func byEndpoint(found []link.Found) map[spec.EndpointID]link.Found {
	out := map[spec.EndpointID]link.Found{}
	for _, f := range found {
		out[f.Alias.Endpoint] = f
	}
	return out
}
