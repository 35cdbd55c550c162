// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"fmt"
	"net/netip"
	"slices"

	"dovesnap/spec"
)

// Ports holds the host's ports that are published, so that neither Docker's own
// driver nor a program takes one of them. It holds each by a bound socket that
// nothing ever reaches: what is sent to the port is redirected before a socket
// is looked for. The sockets end with the process, and with them the hold; the
// redirection goes on. One goroutine at a time may use it: the engine's.
type Ports struct {
	name func(spec.EndpointID) string
	held map[spec.EndpointID]hold
	next uint16 // where to look for any free port
}

// hold is what one endpoint has.
type hold struct {
	published []spec.Published
	sockets   []socket // of each published; notHeld where somebody else had it
}

func (h hold) close() {
	for _, s := range h.sockets {
		s.close()
	}
}

// NewPorts returns a Ports that holds none. name says what people call an
// endpoint; nil: by its ID.
func NewPorts(name func(spec.EndpointID) string) *Ports {
	if name == nil {
		name = func(id spec.EndpointID) string { return fmt.Sprintf("endpoint %q", id.Short()) }
	}
	return &Ports{name: name, held: map[spec.EndpointID]hold{}}
}

// Reserve chooses host ports for what an endpoint with those addresses asked to
// publish, and holds them: all of them or, with an error that names the port and
// who has it, none. Those that the endpoint has stay where they do, whoever chose
// them; otherwise they are released first.
func (p *Ports) Reserve(id spec.EndpointID, maps []spec.PortMap, addresses []netip.Prefix) ([]spec.Published, error) {
	if old, ok := p.held[id]; ok {
		if fits(old.published, maps, addresses) {
			return slices.Clone(old.published), nil
		}
		p.Release(id)
	}
	var h hold
	for _, m := range maps {
		published, sockets, err := p.choose(id, m, addresses)
		if err != nil {
			h.close()
			delete(p.held, id)
			return nil, err
		}
		h.published, h.sockets = append(h.published, published...), append(h.sockets, sockets...)
		// Seen by the next mapping's search for who has a port.
		p.held[id] = h
	}
	if len(maps) == 0 {
		return nil, nil
	}
	return slices.Clone(h.published), nil
}

// Hold takes up what was chosen by an earlier dovesnap, and what it could not take when
// it was asked before. A port that somebody has taken meanwhile is an error, and stays
// published: the redirection comes first.
func (p *Ports) Hold(id spec.EndpointID, published []spec.Published) error {
	h, ok := p.held[id]
	if !ok || !slices.Equal(h.published, published) {
		p.Release(id)
		if len(published) == 0 {
			return nil
		}
		h = hold{slices.Clone(published), slices.Repeat([]socket{notHeld}, len(published))}
		p.held[id] = h
	}
	var errs []error
	for i, o := range published {
		if h.sockets[i] != notHeld {
			continue
		}
		at := netip.AddrPortFrom(o.HostIP, o.HostPort)
		s, err := bind(o.Proto, at, true)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot hold port %s/%s: %w", at, o.Proto, p.explain(id, o.Proto, at, err)))
			continue
		}
		h.sockets[i] = s
	}
	return joined(errs...)
}

// Release gives up an endpoint's ports; an unknown endpoint is fine.
func (p *Ports) Release(id spec.EndpointID) {
	p.held[id].close()
	delete(p.held, id)
}
