// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"dovesnap/cli"
	"dovesnap/ovs"
	"dovesnap/reconcile"
	"dovesnap/spec"
	"dovesnap/status"
)

// status gathers what the parts know.
func (p *parts) status(ctx context.Context) (status.Status, error) {
	s := status.Status{Version: cli.Version(), PID: os.Getpid(), Since: p.since, Time: time.Now(), OVS: p.ovsStatus(), Faucet: p.faucetStatus()}
	s.Docker = status.Docker{Connected: true}
	if err := p.watcher.Err(); err != nil {
		s.Docker = status.Docker{LastError: err.Error()}
	}
	problems := p.engine.Problems()
	if p.courier != nil {
		maps.Copy(problems, p.courier.Problems())
	}
	views, err := p.sw.Views(ctx)
	if err != nil && s.OVS.Ready {
		problems["Open vSwitch"] = err.Error()
	}
	state, names := p.engine.State(), p.engine.Names()
	for _, n := range state.SortedNetworks() {
		s.Networks = append(s.Networks, network(n, state.EndpointsOf(n.ID), views[n.ID], names, problems))
	}
	for subject, text := range problems { // what no network or endpoint has taken
		s.Problems = append(s.Problems, subject+": "+text)
	}
	if conflict := p.sup.Status().Conflict; conflict != "" {
		s.Problems = append(s.Problems, conflict)
	}
	slices.Sort(s.Problems)
	for _, c := range p.firewall.Sysctls() {
		s.Changed = append(s.Changed, status.Setting{Key: c.Key, Was: c.Was, Is: c.Is, Why: c.Why})
	}
	return s, nil
}

func (p *parts) ovsStatus() status.OVS {
	from := p.sup.Status()
	s := status.OVS{Mode: from.Mode, Datapath: from.Datapath, Ready: p.sw.Connected()}
	for _, c := range from.Children {
		s.Children = append(s.Children, status.Child{Name: c.Name, PID: c.PID, State: string(c.State), Since: c.Since,
			Restarts: c.Restarts, LastError: c.LastError})
		if !s.Ready && s.LastError == "" {
			s.LastError = c.LastError
		}
	}
	return s
}

// take removes and returns the problems of a subject, sorted, its own first, and then
// of its parts ("published ports of endpoint 0123…").
func take(problems map[string]string, subject string) (texts []string) {
	for s, text := range problems {
		if part, ok := strings.CutSuffix(s, " of "+subject); ok {
			texts = append(texts, part+": "+text)
			delete(problems, s)
		}
	}
	slices.Sort(texts)
	if text, ok := problems[subject]; ok {
		texts = append([]string{text}, texts...)
		delete(problems, subject)
	}
	return texts
}

func network(n spec.Network, endpoints []spec.Endpoint, v ovs.View, names reconcile.Names, problems map[string]string) status.Network {
	s := status.Network{ID: string(n.ID), Name: names.Networks[n.ID], Bridge: n.Bridge, Mode: string(n.Mode), DPID: n.DPID.String(),
		Datapath: v.Datapath, MTU: n.MTU, VLAN: n.VLAN, Problems: take(problems, reconcile.SubjectNetwork(n.ID))}
	if s.MTU == 0 {
		s.MTU = 1500
	}
	for _, subnet := range n.Subnets {
		s.Subnets = append(s.Subnets, subnet.Pool.String())
		if subnet.Gateway.IsValid() {
			s.Gateways = append(s.Gateways, subnet.Gateway.Addr().String())
		}
	}
	for _, c := range v.Controllers {
		s.Controllers = append(s.Controllers, status.Controller{Target: c.Target, Connected: c.Connected, Role: c.Role, LastError: c.LastError})
	}
	for _, u := range n.Uplinks {
		s.Uplinks = append(s.Uplinks, u.Name)
		if port := v.Ports[u.Name]; port.Error != "" {
			s.Problems = append(s.Problems, fmt.Sprintf("interface %q: %s", u.Name, port.Error))
		}
	}
	if v.DPID != "" && v.DPID != n.DPID.Hex16() {
		s.Problems = append(s.Problems, fmt.Sprintf("Open vSwitch uses datapath id %s", v.DPID))
	}
	for _, ep := range endpoints {
		s.Endpoints = append(s.Endpoints, endpoint(n, ep, v, names, problems))
	}
	return s
}

func endpoint(n spec.Network, ep spec.Endpoint, v ovs.View, names reconcile.Names, problems map[string]string) status.Endpoint {
	s := status.Endpoint{ID: string(ep.ID), Container: names.Containers[ep.ID], MAC: string(ep.MAC), OFPort: int(ep.OFPort),
		Link: spec.HostLink(ep.ID), VLAN: n.PortVLAN(ep), ACLs: ep.ACLs(n), Held: ep.Held, Problems: take(problems, reconcile.SubjectEndpoint(ep.ID))}
	for _, a := range ep.Addresses {
		s.Addresses = append(s.Addresses, a.String())
	}
	for _, p := range ep.Published {
		s.Ports = append(s.Ports, status.Port{Proto: string(p.Proto), HostIP: p.HostIP.String(), HostPort: int(p.HostPort), IP: p.To.Addr().String(), Port: int(p.To.Port())})
	}
	port, known := v.Ports[s.Link]
	switch {
	case !known || len(s.Problems) > 0:
	case port.Error != "":
		s.Problems = append(s.Problems, port.Error)
	case port.OFPort != int(ep.OFPort):
		s.Problems = append(s.Problems, fmt.Sprintf("Open vSwitch has it on OpenFlow port %d", port.OFPort))
	}
	return s
}
