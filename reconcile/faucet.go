// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"reflect"

	"dovesnap/spec"
)

// Faucet is the configuration of Faucet's that dovesnap keeps. Nothing here waits
// for Faucet, which may be away for hours, but Admit, for a moment.
type Faucet interface {
	// Admit refuses a network that clashes with what others have in Faucet.
	Admit(spec.Network) error
	// Want replaces what Faucet should know, which is then delivered and confirmed.
	Want(spec.State, map[spec.NetworkID][]spec.ForeignPort)
	// Settled reports whether Faucet can have no other configuration for the
	// endpoint's port than the one that the endpoint wants.
	Settled(spec.Network, spec.Endpoint) bool
	// Refused tells why the endpoint cannot have what it wants; Faucet's side makes
	// that known itself.
	Refused(spec.Network, spec.Endpoint) error
	// Taken reports whether the network's bridge is somebody else's datapath in Faucet.
	Taken(spec.Network) bool
	// Confirmed reports whether Faucet says that it has all that it should.
	Confirmed() bool
	// Changed receives when any of this may have changed.
	Changed() <-chan struct{}
}

// noFaucet stands for a Faucet whose configuration is the operator's.
type noFaucet struct{}

func (noFaucet) Admit(spec.Network) error                               { return nil }
func (noFaucet) Want(spec.State, map[spec.NetworkID][]spec.ForeignPort) {}
func (noFaucet) Settled(spec.Network, spec.Endpoint) bool               { return true }
func (noFaucet) Refused(spec.Network, spec.Endpoint) error              { return nil }
func (noFaucet) Taken(spec.Network) bool                                { return false }
func (noFaucet) Confirmed() bool                                        { return false }
func (noFaucet) Changed() <-chan struct{}                               { return nil }

// guards reports whether an endpoint of the network is held until its ACL is known
// and in force.
func (e *Engine) guards(n spec.Network) bool { return e.cfg.Faucet != nil && len(n.Controllers) > 0 }

// mayPass reports whether an endpoint's packets may pass: its labels are known, or
// a driver-opt has said what they could, and Faucet has nothing laxer in force.
func (e *Engine) mayPass(n spec.Network, ep spec.Endpoint) bool {
	switch {
	case !e.guards(n):
		return true
	case !ep.Labelled && ep.ACL == "":
		return false
	case e.faucet.Refused(n, ep) != nil:
		return false
	}
	return e.faucet.Settled(n, ep)
}

// want tells Faucet of the State.
func (e *Engine) want() { e.faucet.Want(e.State(), e.foreign) }

// lookPorts sees what others put on our bridges.
func (e *Engine) lookPorts(ctx context.Context) {
	if e.cfg.Faucet == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, itemTimeout)
	defer cancel()
	foreign, err := e.sw.ForeignPorts(ctx)
	e.report("ports of others", err)
	if err == nil && len(foreign)+len(e.foreign) > 0 && !reflect.DeepEqual(foreign, e.foreign) {
		e.log.Info("ports of others changed", "ports", foreign)
		e.foreign = foreign
		e.want()
	}
}
