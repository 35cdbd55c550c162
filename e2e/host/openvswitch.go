// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
)

// An OpenVSwitch is one that somebody else than dovesnap runs.
type OpenVSwitch struct{ Database, Vswitchd *Process }

// StartOpenVSwitch starts ovsdb-server and ovs-vswitchd as a distribution does,
// in the standard places, on a new database when there is none.
func (h *Host) StartOpenVSwitch(ctx context.Context) (*OpenVSwitch, error) {
	const create = `mkdir -p /run/openvswitch /etc/openvswitch /var/log/openvswitch &&
		{ test -e /etc/openvswitch/conf.db || ovsdb-tool create; }`
	if _, err := h.Run(ctx, "sh", "-c", create); err != nil {
		return nil, err
	}
	var ovs OpenVSwitch
	var err error
	ovs.Database, err = h.Start("ovsdb-server", "ovsdb-server", "--remote=punix:/run/openvswitch/db.sock",
		"--pidfile", "-vsyslog:off", "/etc/openvswitch/conf.db")
	if err != nil {
		return nil, err
	}
	err = Await(ctx, "ovsdb-server", func() error {
		return errors.Join(h.Listening("/run/openvswitch/db.sock"), ovs.Database.ended())
	})
	if err != nil {
		return nil, err
	}
	if _, err := h.Run(ctx, "ovs-vsctl", "--no-wait", "init"); err != nil {
		return nil, err
	}
	ovs.Vswitchd, err = h.Start("ovs-vswitchd", "ovs-vswitchd", "--pidfile", "-vsyslog:off")
	if err != nil {
		return nil, err
	}
	// Without --no-wait ovs-vsctl returns when vswitchd has applied the change.
	_, err = h.Run(ctx, "ovs-vsctl", "--timeout=20", "set", "Open_vSwitch", ".", "external_ids:system-id="+h.Name)
	return &ovs, err
}
