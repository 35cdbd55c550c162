// SPDX-License-Identifier: Apache-2.0

// Package plugin serves Docker's remote network driver protocol.
//
// The contract: every call is answered within its deadline, with what was done
// or with one line saying why not; a call may come twice, late, or for something
// long gone. The wire types and the codec are docker/go-plugins-helpers'; the
// server is our own, because that module's hides its http.Server, and a plugin
// that cannot drain its calls makes Docker repeat them without their bodies.
//
// Be aware (all seen from Docker 20.10 to 29):
//   - Docker waits for an answer without any limit; a hung handler hangs it.
//   - A call that is cut off is repeated with an empty body (moby/moby#35459).
//   - Capabilities are asked for once in a dockerd's life.
//   - Docker's API may be silent while a handler runs: nothing here calls it.
package plugin

import (
	"context"

	"github.com/docker/go-plugins-helpers/network"

	"dovesnap/spec"
)

// Engine is what the driver drives; reconcile.Engine implements it.
type Engine interface {
	CreateNetwork(context.Context, spec.Network) error
	DeleteNetwork(context.Context, spec.NetworkID) error
	CreateEndpoint(context.Context, spec.Endpoint) (spec.Endpoint, error)
	DeleteEndpoint(context.Context, spec.EndpointID) error
	Join(context.Context, spec.NetworkID, spec.EndpointID) (spec.Network, spec.Endpoint, error)
	Publish(context.Context, spec.NetworkID, spec.EndpointID, []spec.PortMap) error
	Unpublish(context.Context, spec.EndpointID) error
}

// Driver answers the calls of the protocol.
type Driver struct {
	Engine Engine
	// Controllers are those of networks that name none.
	Controllers []spec.Controller
	// FaucetManaged reports that dovesnap writes Faucet's configuration.
	FaucetManaged bool
	// Created is called, if there is one, when an endpoint was made.
	Created func(spec.NetworkID, spec.EndpointID)
}

// Keys of the Options that Docker sends (moby, libnetwork/netlabel).
const (
	genericKey  = "com.docker.network.generic"
	internalKey = "com.docker.network.internal"
	portMapKey  = "com.docker.network.portmap"
)

// capabilities answers GetCapabilities. GwAllocChecker (Docker 28) lets a flat
// network have no gateway address reserved.
type capabilities struct {
	Scope             string
	ConnectivityScope string
	GwAllocChecker    bool
}

func (d *Driver) capabilities(context.Context, struct{}) (capabilities, error) {
	return capabilities{Scope: network.LocalScope, ConnectivityScope: network.LocalScope, GwAllocChecker: true}, nil
}

// gwAllocRequest and gwAllocAnswer are GwAllocCheck's, which the helpers lack.
type gwAllocRequest struct{ Options map[string]any }

type gwAllocAnswer struct{ SkipIPv4, SkipIPv6 bool }

// gwAllocCheck tells Docker to invent no gateway for a flat network: the
// gateway is a router on that LAN, which only the user can name.
func (d *Driver) gwAllocCheck(_ context.Context, r gwAllocRequest) (gwAllocAnswer, error) {
	options, _ := r.Options[genericKey].(map[string]any)
	mode, given := options["ovs.bridge.mode"].(string)
	flat := !given || spec.Mode(mode) == spec.Flat
	return gwAllocAnswer{SkipIPv4: flat, SkipIPv6: flat}, nil
}

func (d *Driver) createNetwork(ctx context.Context, r network.CreateNetworkRequest) (struct{}, error) {
	request, err := networkRequest(r)
	request.Controllers, request.FaucetManaged = d.Controllers, d.FaucetManaged
	if err != nil {
		return struct{}{}, err
	}
	n, err := spec.ParseNetwork(request)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, d.Engine.CreateNetwork(ctx, n)
}

func networkRequest(r network.CreateNetworkRequest) (spec.Request, error) {
	out := spec.Request{ID: spec.NetworkID(r.NetworkID)}
	out.Options, _ = r.Options[genericKey].(map[string]any)
	out.Internal, _ = r.Options[internalKey].(bool) // the key is there only with --internal
	for _, data := range append(append([]*network.IPAMData{}, r.IPv4Data...), r.IPv6Data...) {
		if data == nil || data.AddressSpace == "null" {
			continue // --ipam-driver null: no subnet
		}
		subnet, err := spec.ParseSubnet(data.Pool, data.Gateway)
		if err != nil {
			return out, err
		}
		out.Subnets = append(out.Subnets, subnet)
	}
	return out, nil
}

func (d *Driver) deleteNetwork(ctx context.Context, r network.DeleteNetworkRequest) (struct{}, error) {
	return struct{}{}, d.Engine.DeleteNetwork(ctx, spec.NetworkID(r.NetworkID))
}

func (d *Driver) createEndpoint(ctx context.Context, r network.CreateEndpointRequest) (network.CreateEndpointResponse, error) {
	given := network.EndpointInterface{}
	if r.Interface != nil {
		given = *r.Interface
	}
	ep, err := spec.ParseEndpoint(spec.EndpointRequest{ID: spec.EndpointID(r.EndpointID), Network: spec.NetworkID(r.NetworkID),
		Address: given.Address, AddressIPv6: given.AddressIPv6, MAC: given.MacAddress, Options: r.Options})
	if err != nil {
		return network.CreateEndpointResponse{}, err
	}
	ep.Maker = caller(ctx)
	if ep, err = d.Engine.CreateEndpoint(ctx, ep); err != nil {
		return network.CreateEndpointResponse{}, err
	}
	if d.Created != nil {
		d.Created(ep.Network, ep.ID)
	}
	answer := network.CreateEndpointResponse{Interface: &network.EndpointInterface{}}
	if given.MacAddress == "" { // only what was empty may be filled in
		answer.Interface.MacAddress = string(ep.MAC)
	}
	return answer, nil
}

func (d *Driver) deleteEndpoint(ctx context.Context, r network.DeleteEndpointRequest) (struct{}, error) {
	return struct{}{}, d.Engine.DeleteEndpoint(ctx, spec.EndpointID(r.EndpointID))
}

// endpointInfo has nothing to add: Docker reads only what it asserts to types of
// its own, which JSON cannot satisfy.
func (d *Driver) endpointInfo(context.Context, network.InfoRequest) (network.InfoResponse, error) {
	return network.InfoResponse{Value: map[string]string{}}, nil
}

// interfaceName adds DstName (moby/moby#52866) to the helpers' type; older
// Docker ignores it.
type interfaceName struct {
	SrcName, DstPrefix, DstName string
}

type joinAnswer struct {
	InterfaceName         interfaceName
	Gateway               string
	GatewayIPv6           string
	StaticRoutes          []*network.StaticRoute
	DisableGatewayService bool
}

// join hands the container's link to Docker, with the gateway. Without a
// gateway, DisableGatewayService keeps Docker from adding a docker_gwbridge
// interface, which would go around Faucet.
func (d *Driver) join(ctx context.Context, r network.JoinRequest) (joinAnswer, error) {
	n, ep, err := d.Engine.Join(ctx, spec.NetworkID(r.NetworkID), spec.EndpointID(r.EndpointID))
	if err != nil {
		return joinAnswer{}, err
	}
	if n.Internal && n.Routed() {
		// Docker before 29 sends an internal network's published ports here and
		// nowhere else.
		if err := d.publish(ctx, r.NetworkID, r.EndpointID, r.Options); err != nil {
			return joinAnswer{}, err
		}
	}
	answer := joinAnswer{InterfaceName: interfaceName{SrcName: spec.ContainerLink(ep.ID), DstPrefix: "eth", DstName: ep.IfName}}
	for _, a := range ep.Addresses {
		gateway := n.Gateway(a.Addr())
		switch {
		case !gateway.IsValid():
		case gateway.Is4():
			answer.Gateway = gateway.String()
		default:
			answer.GatewayIPv6 = gateway.String()
		}
	}
	answer.DisableGatewayService = answer.Gateway == "" && answer.GatewayIPv6 == ""
	return answer, nil
}

// leave takes published ports back, which Docker does not always revoke. The
// container's link comes back by itself, and DeleteEndpoint, which follows, removes
// it.
func (d *Driver) leave(ctx context.Context, r network.LeaveRequest) (struct{}, error) {
	return struct{}{}, d.Engine.Unpublish(ctx, spec.EndpointID(r.EndpointID))
}

// program publishes the ports of a container whose gateway this endpoint is. It may
// come again, after a revoke or without one.
func (d *Driver) program(ctx context.Context, r network.ProgramExternalConnectivityRequest) (struct{}, error) {
	return struct{}{}, d.publish(ctx, r.NetworkID, r.EndpointID, r.Options)
}

func (d *Driver) publish(ctx context.Context, nid, eid string, options map[string]any) error {
	maps, err := spec.ParsePortMaps(options[portMapKey])
	if err != nil {
		return err
	}
	return d.Engine.Publish(ctx, spec.NetworkID(nid), spec.EndpointID(eid), maps)
}

func (d *Driver) revoke(ctx context.Context, r network.RevokeExternalConnectivityRequest) (struct{}, error) {
	return struct{}{}, d.Engine.Unpublish(ctx, spec.EndpointID(r.EndpointID))
}

// allocateNetwork is a swarm manager's, for drivers of global scope.
func (d *Driver) allocateNetwork(context.Context, network.AllocateNetworkRequest) (network.AllocateNetworkResponse, error) {
	return network.AllocateNetworkResponse{Options: map[string]string{}}, nil
}

func nothing[Request any](context.Context, Request) (struct{}, error) { return struct{}{}, nil }
