// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// firewalld's names: firewalld.dbus(5). Those of zones and policies have a limit
// of 17 letters, for the chains that it makes of them.
const (
	firewalld       = "org.fedoraproject.FirewallD1"
	firewalldPath   = dbus.ObjectPath("/org/fedoraproject/FirewallD1")
	firewalldConfig = dbus.ObjectPath("/org/fedoraproject/FirewallD1/config")
	zoneName        = "dovesnap"
	policyName      = "dovesnap-forward"
	zoneLimit       = 15 * time.Second // of all that one Apply asks of firewalld
)

// firewallD asks firewalld.
type firewallD struct {
	ctx  context.Context
	conn *dbus.Conn
}

func (f firewallD) runs() bool {
	var runs bool
	err := f.conn.BusObject().CallWithContext(f.ctx, "org.freedesktop.DBus.NameHasOwner", 0, firewalld).Store(&runs)
	return err == nil && runs
}

func (f firewallD) call(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return f.conn.Object(firewalld, path).CallWithContext(f.ctx, firewalld+method, 0, args...)
}

// bind makes the zone have exactly the bridges, but for those that are in another:
// of them it returns what firewalld says, which names that zone.
func (f firewallD) bind(bridges []string, log *slog.Logger) (elsewhere map[string]string, err error) {
	var zones, bound []string
	if err := f.call(firewalldPath, ".zone.getZones").Store(&zones); err != nil {
		return nil, err
	}
	if !slices.Contains(zones, zoneName) {
		if len(bridges) == 0 {
			return nil, nil
		}
		if err := f.define(); err != nil {
			return nil, err
		}
		log.Info("made a zone for our bridges in firewalld", "zone", zoneName)
	}
	if err := f.call(firewalldPath, ".zone.getInterfaces", zoneName).Store(&bound); err != nil {
		return nil, err
	}
	elsewhere = map[string]string{}
	for _, b := range bridges {
		if slices.Contains(bound, b) {
			continue
		}
		switch err := f.call(firewalldPath, ".zone.addInterface", zoneName, b).Err; code(err) {
		case "ZONE_CONFLICT": // the administrator's decision
			elsewhere[b] = err.Error()
		case "ZONE_ALREADY_SET", "ALREADY_ENABLED":
		default:
			if err != nil {
				return nil, err
			}
		}
	}
	for _, b := range bound {
		if slices.Contains(bridges, b) {
			continue
		}
		if err := f.call(firewalldPath, ".zone.removeInterface", zoneName, b).Err; err != nil && code(err) != "UNKNOWN_INTERFACE" {
			return nil, err
		}
	}
	return elsewhere, nil
}

// define makes the zone and the policy in firewalld's permanent configuration and
// has it read that: firewalld knows no zones of the moment. The policy is for what
// is forwarded to the zone, of which ours decide; firewalld before 0.9 has none.
func (f firewallD) define() error {
	err := f.call(firewalldConfig, ".config.addZone2", zoneName, map[string]any{
		"version": "1.0", "description": "bridges of dovesnap's networks", "target": "ACCEPT",
	}).Err
	if err != nil && code(err) != "NAME_CONFLICT" {
		return err
	}
	err = f.call(firewalldConfig, ".config.addPolicy", policyName, map[string]any{
		"version": "1.0", "description": "forwarding to the networks of dovesnap", "target": "ACCEPT",
		"ingress_zones": []string{"ANY"}, "egress_zones": []string{zoneName},
	}).Err
	var unknown dbus.Error
	if errors.As(err, &unknown) && unknown.Name == dbus.ErrMsgUnknownMethod.Name {
		err = nil
	}
	if err != nil && code(err) != "NAME_CONFLICT" {
		return err
	}
	return f.call(firewalldPath, ".reload").Err
}

// undefine removes zone and policy from firewalld's permanent configuration, and
// has it read that.
func (f firewallD) undefine() error {
	if !f.runs() {
		return f.ctx.Err()
	}
	removed := false
	for _, o := range []struct{ find, remove, name string }{
		{".config.getPolicyByName", ".config.policy.remove", policyName},
		{".config.getZoneByName", ".config.zone.remove", zoneName},
	} {
		var path dbus.ObjectPath
		if err := f.call(firewalldConfig, o.find, o.name).Store(&path); err != nil {
			continue // it is not there
		}
		if err := f.call(path, o.remove).Err; err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return f.ctx.Err()
	}
	return f.call(firewalldPath, ".reload").Err
}

// code returns the code of an error of firewalld's: it writes "CODE: text".
func code(err error) string {
	var e dbus.Error
	if !errors.As(err, &e) || e.Name != firewalld+".Exception" {
		return ""
	}
	text, _, _ := strings.Cut(e.Error(), ":")
	return text
}
