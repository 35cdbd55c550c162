// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"encoding/json"
	"errors"
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
	found, err := ses.read(ctx, selectOp(tableBridge, nil, "name", "external_ids"), selectOp(tablePort, nil, "name", "external_ids"))
	if err != nil {
		return state, fmt.Errorf("cannot read the stored networks: %w", err)
	}
	var bad error
	for _, b := range found[0] {
		ids, n := b.dict("external_ids"), spec.Network{}
		if ids[keyNetwork] == "" {
			continue
		}
		if err := decode(ids, &n); err != nil || string(n.ID) != ids[keyNetwork] {
			bad = fmt.Errorf("cannot read the network stored in bridge %q: %v", b.text("name"), err)
			continue
		}
		state.Networks[n.ID] = n
	}
	for _, p := range found[1] {
		ids, e := p.dict("external_ids"), spec.Endpoint{}
		if ids[keyEndpoint] == "" {
			continue
		}
		if err := decode(ids, &e); err != nil || string(e.ID) != ids[keyEndpoint] {
			bad = fmt.Errorf("cannot read the endpoint stored in port %q: %v", p.text("name"), err)
			continue
		}
		state.Endpoints[e.ID] = e
	}
	return state, bad
}

// errOtherVersion keeps what another version stored from being overwritten by what
// this one makes of Docker's lists.
var errOtherVersion = errors.New("it was stored by another version of dovesnap, and is left alone")

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
	root, err := ses.one(ctx, selectOp(tableRoot, byUUID(ses.root), "other_config"))
	if err != nil {
		return false, err
	}
	return root.dict("other_config")["userspace-tso-enable"] == "true", nil
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
	found, err := ses.read(ctx,
		selectOp(tableBridge, nil, "name", "datapath_type", "datapath_id", "controller", "ports", "external_ids"),
		selectOp(tableController, nil, "_uuid", "target", "is_connected", "role", "status"),
		selectOp(tablePort, nil, "_uuid", "interfaces", "external_ids"),
		selectOp(tableInterface, nil, "_uuid", "name", "ofport", "error"))
	if err != nil {
		return nil, err
	}
	controllers, ports, interfaces := index(found[1]), index(found[2]), index(found[3])
	out := map[spec.NetworkID]View{}
	for _, b := range found[0] {
		id := b.dict("external_ids")[keyNetwork]
		if id == "" {
			continue
		}
		v := View{Datapath: b.text("datapath_type"), DPID: b.text("datapath_id"), Ports: map[string]PortView{}}
		for _, c := range b.uuids("controller") {
			r := controllers[c]
			v.Controllers = append(v.Controllers, ControllerView{Target: r.text("target"), Connected: r.flag("is_connected"),
				Role: r.text("role"), LastError: r.dict("status")["last_error"]})
		}
		for _, p := range b.uuids("ports") {
			ours := ports[p].dict("external_ids")[keyNetwork] != ""
			for _, i := range ports[p].uuids("interfaces") {
				r := interfaces[i]
				number, _ := r.number("ofport")
				v.Ports[r.text("name")] = PortView{OFPort: number, Error: r.text("error"), Ours: ours || r.text("name") == b.text("name")}
			}
		}
		out[spec.NetworkID(id)] = v
	}
	return out, nil
}

// Foreign returns the names of the bridges that are not dovesnap's.
func (s *Switch) Foreign(ctx context.Context) ([]string, error) {
	ses, err := s.current()
	if err != nil {
		return nil, err
	}
	found, err := ses.read(ctx, selectOp(tableBridge, nil, "name", "external_ids"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, b := range found[0] {
		if b.dict("external_ids")[keyNetwork] == "" {
			out = append(out, b.text("name"))
		}
	}
	return out, nil
}

func index(rows []row) map[string]row {
	out := map[string]row{}
	for _, r := range rows {
		out[r.uuid()] = r
	}
	return out
}
