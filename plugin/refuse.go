// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"dovesnap/spec"
)

// refuseFor is longer than the pause between two starts of the service, so that a
// call that comes in between is answered at the next.
const refuseFor = 3 * time.Second

// Refuse answers Docker for a few seconds, for a daemon that cannot begin: at the
// sockets that systemd keeps open a call would wait without end, and with it
// dockerd's own start. Without such sockets it returns at once.
func Refuse(ctx context.Context, cause error) {
	sockets, err := listenPassed()
	if err != nil || len(sockets) == 0 {
		closeAll(sockets)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, refuseFor)
	defer cancel()
	// The cause is logged by whoever called us, and once is enough.
	_ = NewServer(&Driver{Engine: refusing{cause}}, slog.New(slog.DiscardHandler)).Run(ctx, sockets)
}

// refusing is the engine of a daemon that cannot begin.
type refusing struct{ cause error }

func (r refusing) err() error {
	return fmt.Errorf("cannot serve the network: dovesnap does not start: %w", r.cause)
}

func (r refusing) CreateNetwork(context.Context, spec.Network) error     { return r.err() }
func (r refusing) DeleteNetwork(context.Context, spec.NetworkID) error   { return r.err() }
func (r refusing) DeleteEndpoint(context.Context, spec.EndpointID) error { return r.err() }
func (r refusing) CreateEndpoint(_ context.Context, e spec.Endpoint) (spec.Endpoint, error) {
	return e, r.err()
}
func (r refusing) Join(context.Context, spec.NetworkID, spec.EndpointID) (spec.Network, spec.Endpoint, error) {
	return spec.Network{}, spec.Endpoint{}, r.err()
}
func (r refusing) Publish(context.Context, spec.NetworkID, spec.EndpointID, []spec.PortMap) error {
	return r.err()
}

// Unpublish has nothing to take back.
func (r refusing) Unpublish(context.Context, spec.EndpointID) error { return nil }
