// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"fmt"

	"dovesnap/spec"
)

// Load reads the State that earlier runs stored. Rows that this version cannot
// read are left alone and named in the error, beside the State of the others.
func (s *Switch) Load(ctx context.Context) (spec.State, error) {
	state := spec.NewState()
	ses, err := s.current()
	if err != nil {
		return state, fmt.Errorf("cannot read the stored networks: %w", err)
	}
	var bridges []bridge
	var ports []port
	if err := ses.client.WhereCache(func(b *bridge) bool { return b.ExternalIDs[keyNetwork] != "" }).List(ctx, &bridges); err != nil {
		return state, err
	}
	if err := ses.client.WhereCache(func(p *port) bool { return p.ExternalIDs[keyEndpoint] != "" }).List(ctx, &ports); err != nil {
		return state, err
	}
	var bad error
	for _, b := range bridges {
		var n spec.Network
		if err := decode(b.ExternalIDs, &n); err != nil || string(n.ID) != b.ExternalIDs[keyNetwork] {
			bad = fmt.Errorf("cannot read the network stored in bridge %q: %v", b.Name, err)
			continue
		}
		state.Networks[n.ID] = n
	}
	for _, p := range ports {
		var e spec.Endpoint
		if err := decode(p.ExternalIDs, &e); err != nil || string(e.ID) != p.ExternalIDs[keyEndpoint] {
			bad = fmt.Errorf("cannot read the endpoint stored in port %q: %v", p.Name, err)
			continue
		}
		state.Endpoints[e.ID] = e
	}
	return state, bad
}

func decode(ids map[string]string, v any) error {
	if got := ids[keyVersion]; got != spec.Version {
		return fmt.Errorf("it is of version %q, this dovesnap reads %q", got, spec.Version)
	}
	return json.Unmarshal([]byte(ids[keySpec]), v)
}

// UserspaceTSO reports whether vswitchd segments TCP for userspace datapaths.
// Where it does not, a container must compute its own checksums.
func (s *Switch) UserspaceTSO(ctx context.Context) (bool, error) {
	ses, err := s.current()
	if err != nil {
		return false, err
	}
	root, err := ses.root(ctx)
	if err != nil {
		return false, err
	}
	return root.OtherConfig["userspace-tso-enable"] == "true", nil
}

// View is what Open vSwitch reports of one network's bridge.
type View struct {
	Datapath    string // system (kernel) or netdev (userspace)
	DPID        string // 16 hexadecimal digits, as vswitchd uses it
	Controllers []ControllerView
	Ports       map[string]PortView // every interface in the bridge by name, foreign ones too
}

// ControllerView is the state of one controller connection.
type ControllerView struct {
	Target    string
	Connected bool
	Role      string
	LastError string
}

// PortView is the state of one interface.
type PortView struct {
	OFPort int // -1 or 0: vswitchd could not open it
	Error  string
	Ours   bool
}

// Views reports on every bridge of ours.
func (s *Switch) Views(ctx context.Context) (map[spec.NetworkID]View, error) {
	ses, err := s.current()
	if err != nil {
		return nil, err
	}
	var bridges []bridge
	if err := ses.client.WhereCache(func(b *bridge) bool { return b.ExternalIDs[keyNetwork] != "" }).List(ctx, &bridges); err != nil {
		return nil, err
	}
	out := map[spec.NetworkID]View{}
	for _, b := range bridges {
		v, err := ses.view(ctx, b)
		if err != nil {
			return nil, err
		}
		out[spec.NetworkID(b.ExternalIDs[keyNetwork])] = v
	}
	return out, nil
}

func (ses *session) view(ctx context.Context, b bridge) (View, error) {
	v := View{Datapath: b.DatapathType, Ports: map[string]PortView{}}
	if b.DatapathID != nil {
		v.DPID = *b.DatapathID
	}
	for _, id := range b.Controller {
		c := &controller{UUID: id}
		if err := ses.client.Get(ctx, c); err != nil {
			return v, err
		}
		view := ControllerView{Target: c.Target, Connected: c.IsConnected, LastError: c.Status["last_error"]}
		if c.Role != nil {
			view.Role = *c.Role
		}
		v.Controllers = append(v.Controllers, view)
	}
	for _, id := range b.Ports {
		p := &port{UUID: id}
		if err := ses.client.Get(ctx, p); err != nil {
			continue // gone since the bridge was read
		}
		for _, id := range p.Interfaces {
			i := &iface{UUID: id}
			if err := ses.client.Get(ctx, i); err != nil {
				continue
			}
			view := PortView{Ours: p.ExternalIDs[keyNetwork] != "" || p.Name == b.Name}
			if i.OFPort != nil {
				view.OFPort = *i.OFPort
			}
			if i.Error != nil {
				view.Error = *i.Error
			}
			v.Ports[i.Name] = view
		}
	}
	return v, nil
}
