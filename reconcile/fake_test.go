// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"dovesnap/link"
	"dovesnap/spec"
)

// host is a fake of everything that the engine drives. It keeps what a real
// host would keep over a restart, and can be told to fail at its n-th step.
type host struct {
	bridges  map[spec.NetworkID]spec.Network
	ports    map[spec.EndpointID]spec.Endpoint
	veths    map[spec.EndpointID]spec.Alias
	held     map[spec.EndpointID]bool // inside a container
	left     map[spec.EndpointID]bool // given back by one
	rules    []spec.NetworkID
	guard    bool
	taken    map[spec.OFPort]bool // numbers of foreign ports
	uplinks  map[string]string    // NIC → why it is refused
	up       map[spec.EndpointID]bool
	macs     map[spec.EndpointID]spec.MAC
	flows    map[spec.OFPort]int // that the switch has for what comes in
	nudged   []spec.EndpointID
	resolved []spec.EndpointID
	heard    map[spec.OFPort]bool // nil: no controller is there
	foreign  map[spec.NetworkID][]spec.ForeignPort
	docker   []string // bridges that Docker was said to have

	published, reserved map[spec.EndpointID][]spec.Published

	meanwhile func(context.Context) // once, when a bridge is looked at

	hang   bool // ports are never applied
	failAt int  // 0: never; else the n-th step from now fails
	steps  int
	log    []string
}

func newHost() *host {
	return &host{bridges: map[spec.NetworkID]spec.Network{}, ports: map[spec.EndpointID]spec.Endpoint{},
		veths: map[spec.EndpointID]spec.Alias{}, held: map[spec.EndpointID]bool{}, left: map[spec.EndpointID]bool{}, taken: map[spec.OFPort]bool{}, uplinks: map[string]string{},
		published: map[spec.EndpointID][]spec.Published{}, reserved: map[spec.EndpointID][]spec.Published{},
		up: map[spec.EndpointID]bool{}, macs: map[spec.EndpointID]spec.MAC{}, flows: map[spec.OFPort]int{}}
}

var errInjected = errors.New("injected")

// step counts what would touch the host, and fails when told to.
func (h *host) step(ctx context.Context, format string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.steps++
	h.log = append(h.log, fmt.Sprintf(format, args...))
	if h.failAt > 0 {
		if h.failAt--; h.failAt == 0 {
			return errInjected
		}
	}
	return nil
}

func (h *host) Load(ctx context.Context) (spec.State, error) {
	return spec.State{Networks: maps.Clone(h.bridges), Endpoints: maps.Clone(h.ports)}, ctx.Err()
}

func (h *host) EnsureBridge(ctx context.Context, n spec.Network, _ bool) error {
	if err := h.step(ctx, "bridge %s", n.Bridge); err != nil {
		return err
	}
	h.bridges[n.ID] = n
	if meanwhile := h.meanwhile; meanwhile != nil {
		h.meanwhile = nil
		meanwhile(ctx)
	}
	return nil
}

func (h *host) DeleteBridge(ctx context.Context, id spec.NetworkID) error {
	if err := h.step(ctx, "delete bridge of %s", id.Short()); err != nil {
		return err
	}
	delete(h.bridges, id)
	maps.DeleteFunc(h.ports, func(_ spec.EndpointID, e spec.Endpoint) bool { return e.Network == id })
	return nil
}

func (h *host) EnsurePort(ctx context.Context, n spec.Network, e spec.Endpoint) (spec.OFPort, error) {
	if _, ok := h.bridges[n.ID]; !ok {
		return 0, fmt.Errorf("no bridge %s", n.Bridge)
	}
	if _, ok := h.veths[e.ID]; !ok {
		return 0, fmt.Errorf("no link of %s", e.ID.Short())
	}
	if err := h.step(ctx, "port %s as %d", e.ID.Short(), e.OFPort); err != nil {
		return 0, err
	}
	if h.hang {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	h.ports[e.ID] = e
	for h.taken[e.OFPort] {
		e.OFPort++
	}
	return e.OFPort, nil
}

func (h *host) DeletePort(ctx context.Context, id spec.EndpointID) error {
	if err := h.step(ctx, "delete port %s", id.Short()); err != nil {
		return err
	}
	delete(h.ports, id)
	return nil
}

func (h *host) EnsureVeth(ctx context.Context, n spec.Network, e spec.Endpoint, _ bool) error {
	if err := h.step(ctx, "veth %s", e.ID.Short()); err != nil {
		return err
	}
	h.veths[e.ID] = spec.Alias{Network: n.ID, Endpoint: e.ID, OFPort: e.OFPort}
	h.up[e.ID], h.macs[e.ID] = !e.Held, e.MAC
	return nil
}

func (h *host) Nudge(ctx context.Context, id spec.EndpointID) error {
	h.nudged = append(h.nudged, id)
	return h.step(ctx, "nudge %s", id.Short())
}

func (h *host) SetMAC(ctx context.Context, id spec.EndpointID, mac spec.MAC) (bool, error) {
	if !h.held[id] {
		return false, nil
	}
	h.macs[id] = mac
	return true, h.step(ctx, "MAC of %s", id.Short())
}

func (h *host) Resolve(_ context.Context, _ spec.Network, e spec.Endpoint) error {
	h.resolved = append(h.resolved, e.ID)
	return nil
}

func (h *host) NotePort(ctx context.Context, e spec.Endpoint) error {
	if err := h.step(ctx, "note port %s", e.ID.Short()); err != nil {
		return err
	}
	if _, ok := h.ports[e.ID]; ok {
		h.ports[e.ID] = e
	}
	return nil
}

func (h *host) NoteNetwork(ctx context.Context, n spec.Network) error {
	if err := h.step(ctx, "note network %s", n.ID.Short()); err != nil {
		return err
	}
	if _, ok := h.bridges[n.ID]; ok {
		h.bridges[n.ID] = n
	}
	return nil
}

func (h *host) Takes(_ context.Context, _ spec.Network, p spec.OFPort) (int, error) {
	return h.flows[p], nil
}

func (h *host) Heard(context.Context, spec.Network) (map[spec.OFPort]bool, error) {
	return h.heard, nil
}

func (h *host) SweepQoS(context.Context) error { return nil }

func (h *host) ForeignPorts(context.Context) (map[spec.NetworkID][]spec.ForeignPort, error) {
	return h.foreign, nil
}

func (h *host) DeleteVeth(ctx context.Context, id spec.EndpointID) error {
	if err := h.step(ctx, "delete veth %s", id.Short()); err != nil {
		return err
	}
	delete(h.veths, id)
	return nil
}

func (h *host) Endpoints(ctx context.Context) ([]link.Found, error) {
	var out []link.Found
	for id, a := range h.veths {
		out = append(out, link.Found{Alias: a, Link: spec.HostLink(id), Held: h.held[id], Left: h.left[id]})
	}
	return out, ctx.Err()
}

func (h *host) EnsureGateway(ctx context.Context, n spec.Network) (bool, error) {
	return false, h.step(ctx, "gateway %s", n.Bridge)
}

func (h *host) EnsureControllers(ctx context.Context, n spec.Network, anew, _ bool) error {
	if anew {
		return h.step(ctx, "controllers %s anew", n.Bridge)
	}
	return h.step(ctx, "controllers %s", n.Bridge)
}

func (h *host) ReleaseNetwork(ctx context.Context, n spec.Network) error {
	if len(n.Uplinks) == 0 {
		return nil
	}
	return h.step(ctx, "release %s", n.Bridge)
}

func (h *host) UplinkMAC(context.Context, spec.Network) (spec.MAC, error) {
	return "02:00:5e:00:53:07", nil
}

func (h *host) ReturnUplinks(ctx context.Context, n spec.Network) error {
	if !n.MigrateUplinks {
		return nil
	}
	return h.step(ctx, "return %s", n.Bridge)
}

func (h *host) SweepUplinks(context.Context, func(spec.NetworkID) bool) error { return nil }

func (h *host) CheckNetwork(_ context.Context, n spec.Network) error {
	for _, u := range n.Uplinks {
		if why := h.uplinks[u.Name]; why != "" {
			return errors.New(why)
		}
	}
	return nil
}

func (h *host) Publish(ctx context.Context, _ spec.Network, e spec.Endpoint) error {
	h.published[e.ID] = e.Published // one family's rules, when it fails
	return h.step(ctx, "publish %s", e.ID.Short())
}

func (h *host) Unpublish(ctx context.Context, id spec.EndpointID) error {
	if err := h.step(ctx, "unpublish %s", id.Short()); err != nil {
		return err
	}
	delete(h.published, id)
	return nil
}

// Reserve gives ports from 40000 on where any will do.
func (h *host) Reserve(id spec.EndpointID, maps []spec.PortMap, _ []netip.Prefix) ([]spec.Published, error) {
	var out []spec.Published
	for _, m := range maps {
		p := spec.Published{Proto: m.Proto, HostIP: netip.IPv4Unspecified(), HostPort: m.HostPort}
		if p.HostPort == 0 {
			p.HostPort = 40000
		}
		for other, held := range h.reserved {
			if other != id && slices.Contains(held, p) {
				return nil, fmt.Errorf("cannot publish port %s: it is in use", m)
			}
		}
		out = append(out, p)
	}
	h.reserved[id] = out
	return out, nil
}

func (h *host) Hold(id spec.EndpointID, published []spec.Published) error {
	h.reserved[id] = published
	return nil
}

func (h *host) Release(id spec.EndpointID) { delete(h.reserved, id) }

func (h *host) Apply(ctx context.Context, nets []spec.Network, endpoints []spec.Endpoint) error {
	if err := h.step(ctx, "rules of %d networks", len(nets)); err != nil {
		return err
	}
	h.published = map[spec.EndpointID][]spec.Published{}
	for _, e := range endpoints {
		h.published[e.ID] = e.Published
	}
	h.rules = nil
	for _, n := range nets {
		if n.Routed() {
			h.rules = append(h.rules, n.ID)
		}
	}
	return nil
}

func (h *host) Check(context.Context) (bool, error) { return false, nil }

func (h *host) KnowDocker(bridges []string) bool {
	news := !slices.Equal(h.docker, bridges)
	h.docker = bridges
	return news
}

func (h *host) EnsureForwarding(ctx context.Context, _ []spec.Network) error {
	if err := h.step(ctx, "forwarding"); err != nil {
		return err
	}
	h.guard = true
	return nil
}

// String is the whole host as text.
func (h *host) String() string {
	var lines []string
	for id := range h.bridges {
		lines = append(lines, "bridge "+id.Short())
	}
	for id, e := range h.ports {
		lines = append(lines, fmt.Sprintf("port %s %d", id.Short(), e.OFPort))
	}
	for id, a := range h.veths {
		lines = append(lines, fmt.Sprintf("veth %s %d", id.Short(), a.OFPort))
	}
	for _, id := range h.rules {
		lines = append(lines, "rules "+id.Short())
	}
	for id, p := range h.published {
		lines = append(lines, fmt.Sprintf("published %s %v", id.Short(), p))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// want is what the host should look like for a State whose links all exist.
func want(s spec.State) string {
	h := newHost()
	for id, n := range s.Networks {
		h.bridges[id] = n
		if n.Routed() {
			h.rules = append(h.rules, id)
		}
	}
	for id, e := range s.Endpoints {
		h.ports[id] = e
		h.veths[id] = spec.Alias{Endpoint: id, OFPort: e.OFPort}
		if len(e.Published) > 0 {
			h.published[id] = e.Published
		}
	}
	return h.String()
}
