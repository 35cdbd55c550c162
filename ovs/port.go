// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"dovesnap/spec"
)

// EnsurePort puts the endpoint's host link into its network's bridge under the
// OF port number of the spec and returns the number it really has: OVS gives
// another one without a word when the number is taken. The caller keeps the
// real one and calls again, so that it's pinned for the next start of vswitchd.
func (s *Switch) EnsurePort(ctx context.Context, n spec.Network, e spec.Endpoint) (spec.OFPort, error) {
	ses, err := s.current()
	if err != nil {
		return 0, portError("attach", e.ID, err)
	}
	if err := ses.ensurePort(ctx, n, e); err != nil {
		return 0, portError("attach", e.ID, err)
	}
	ofport, err := ses.ofport(ctx, spec.HostLink(e.ID))
	if err != nil {
		return 0, portError("attach", e.ID, err)
	}
	return ofport, nil
}

func portError(verb string, id spec.EndpointID, err error) error {
	return fmt.Errorf("cannot %s port %q: %w", verb, spec.HostLink(id), err)
}

func (ses *session) ensurePort(ctx context.Context, n spec.Network, e spec.Endpoint) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	name := spec.HostLink(e.ID)
	ids := map[string]string{keyVersion: spec.Version, keyNetwork: string(n.ID), keyEndpoint: string(e.ID), keySpec: string(text)}
	old, err := ses.port(ctx, name)
	if err != nil {
		return err
	}
	t := ses.begin()
	if old == nil {
		b, err := ses.bridge(ctx, n.Bridge)
		if err != nil {
			return err
		}
		if b == nil || b.ExternalIDs[keyNetwork] != string(n.ID) {
			return fmt.Errorf("bridge %q is missing", n.Bridge)
		}
		i := &iface{UUID: "interface", Name: name, OFPortRequest: ptr(int(e.OFPort)),
			ExternalIDs: map[string]string{"attached-mac": string(e.MAC)}}
		p := &port{UUID: "port", Name: name, Interfaces: []string{i.UUID}, ExternalIDs: ids}
		t.insert(i, p)
		t.reference(tableBridge, b.UUID, "ports", ovsdb.MutateOperationInsert, p.UUID)
		return t.apply(ctx, true)
	}
	if old.ExternalIDs[keyEndpoint] != string(e.ID) {
		return errors.New("a port of this name exists that is not this endpoint's")
	}
	row := ovsdb.NewRow()
	setMap(row, "external_ids", old.ExternalIDs, ids)
	if len(row) > 0 {
		t.update(tablePort, old.UUID, row)
	}
	i, err := ses.iface(ctx, name)
	if err != nil {
		return err
	}
	if i != nil && (i.OFPortRequest == nil || *i.OFPortRequest != int(e.OFPort)) {
		t.update(tableInterface, i.UUID, ovsdb.Row{"ofport_request": int(e.OFPort)})
	}
	if len(t.ops) == 0 {
		return nil
	}
	return t.apply(ctx, true)
}

// DeletePort takes the endpoint's host link out of its bridge; an absent one is
// fine. It does not wait for vswitchd, which forgets the port by itself when
// the link goes.
func (s *Switch) DeletePort(ctx context.Context, id spec.EndpointID) error {
	ses, err := s.current()
	if err != nil {
		return portError("remove", id, err)
	}
	p, err := ses.port(ctx, spec.HostLink(id))
	if err != nil || p == nil {
		return err
	}
	if p.ExternalIDs[keyEndpoint] != string(id) {
		return nil
	}
	b, err := ses.bridgeOf(ctx, p)
	if err == nil && b != nil {
		t := ses.begin()
		t.reference(tableBridge, b.UUID, "ports", ovsdb.MutateOperationDelete, p.UUID)
		_, err = t.commit(ctx, false)
	}
	if err != nil {
		return portError("remove", id, err)
	}
	return nil
}

// bridgeOf returns the bridge that a port of ours is in: its network's, or
// wherever somebody moved it.
func (ses *session) bridgeOf(ctx context.Context, p *port) (*bridge, error) {
	var rows []bridge
	err := ses.client.WhereCache(func(b *bridge) bool {
		return b.ExternalIDs[keyNetwork] == p.ExternalIDs[keyNetwork]
	}).List(ctx, &rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// port returns the row of a name, nil when there is none.
func (ses *session) port(ctx context.Context, name string) (*port, error) {
	p := &port{Name: name}
	err := ses.client.Get(ctx, p)
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// iface returns the row of a name, nil when there is none.
func (ses *session) iface(ctx context.Context, name string) (*iface, error) {
	i := &iface{Name: name}
	err := ses.client.Get(ctx, i)
	if errors.Is(err, client.ErrNotFound) {
		return nil, nil
	}
	return i, err
}

// ofport reads back the number that vswitchd gave an interface. A port whose
// link it cannot open has -1 and says why in column error, while the
// transaction that added it succeeded.
func (ses *session) ofport(ctx context.Context, name string) (spec.OFPort, error) {
	i, err := ses.iface(ctx, name)
	switch {
	case err != nil:
		return 0, err
	case i == nil:
		return 0, errors.New("the interface has vanished from Open vSwitch's database")
	case i.Error != nil && *i.Error != "":
		return 0, errors.New(*i.Error)
	case i.OFPort == nil || *i.OFPort < 0:
		return 0, errors.New("Open vSwitch gave it no port number")
	}
	return spec.OFPort(*i.OFPort), nil
}

func (ses *session) checkInterfaces(ctx context.Context, names ...string) error {
	for _, name := range names {
		if _, err := ses.ofport(ctx, name); err != nil {
			return fmt.Errorf("interface %q: %w", name, err)
		}
	}
	return nil
}
