// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"dovesnap/link"
	"dovesnap/reconcile"
	"dovesnap/service"
	"dovesnap/spec"
)

// LinkMAC gives the link of an endpoint's container a MAC address.
func LinkMAC(ctx context.Context, id, mac string, log *slog.Logger) error {
	_, err := link.New(log).SetMAC(ctx, spec.EndpointID(id), spec.MAC(mac))
	return err
}

// links are the engine's, where the service itself may not enter a container's
// network: a unit does that for it.
type links struct {
	*link.Links
}

// engineLinks returns what the engine is to use.
func engineLinks(l *link.Links) reconcile.Links {
	if service.IsUnit() {
		return links{l}
	}
	return l
}

const macUnitTimeout = 4 * time.Second

func (l links) SetMAC(ctx context.Context, id spec.EndpointID, mac spec.MAC) (done bool, err error) {
	done, err = l.Links.SetMAC(ctx, id, mac)
	if !errors.Is(err, link.ErrNoAdmin) {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, macUnitTimeout)
	defer cancel()
	unit := fmt.Sprintf("dovesnap-mac@%s_%s.service", id, strings.ReplaceAll(string(mac), ":", ""))
	if out, err := exec.CommandContext(ctx, "systemctl", "start", unit).CombinedOutput(); err != nil {
		return false, fmt.Errorf("cannot set MAC address of the link of endpoint %q: systemctl start dovesnap-mac@: %w: %s", id.Short(), err, strings.Join(strings.Fields(string(out)), " "))
	}
	return true, nil
}
