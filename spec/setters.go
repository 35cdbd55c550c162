// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

func setMode(n *Network, v string) (err error) { n.Mode, err = ParseMode(v); return }

func setDPID(n *Network, v string) (err error) { n.DPID, err = ParseDPID(v); return }

func setControllers(n *Network, v string) (err error) {
	n.Controllers, err = ParseControllers(v)
	return
}

func setName(n *Network, v string) error {
	n.Bridge = v
	if strings.HasPrefix(v, hostPrefix) || strings.HasPrefix(v, containerPrefix) {
		// What enters the host's IP by a name that begins so is dropped.
		return fmt.Errorf("%q begins like a container's link: %s and %s are taken", v, hostPrefix, containerPrefix)
	}
	return CheckLinkName(v)
}

func setForce(n *Network, v string) error {
	if v != "migrate" {
		return fmt.Errorf("%q is not migrate", v)
	}
	n.MigrateUplinks = true
	return nil
}

func setMTU(n *Network, v string) (err error) {
	n.MTU, err = between(v, 68, 65535)
	return
}

func setVLAN(n *Network, v string) (err error) { n.VLAN, err = ParseVLAN(v); return }

func setUserspace(n *Network, v string) (err error) {
	if n.Userspace, err = strconv.ParseBool(v); err != nil {
		err = fmt.Errorf("%q is not true or false", v)
	}
	return
}

func setLocalMAC(n *Network, v string) (err error) { n.LocalMAC, err = ParseMAC(v); return }

func neverWorked(*Network, string) error {
	return errors.New("it never had an effect; use ovs.bridge.add_ports")
}

func setMACPrefix(n *Network, v string) (err error) {
	n.MACPrefix, err = ParseMACPrefix(v)
	return
}

func setPreallocate(n *Network, v string) error {
	count, err := between(v, 0, 4096)
	n.Preallocate = &count
	return err
}

func setExpr(field func(*Network) *Expr) func(*Network, string) error {
	return func(n *Network, v string) (err error) {
		*field(n), err = ParseExpr(v)
		return
	}
}

func setVLANOutACL(n *Network, v string) error {
	if strings.Contains(v, ",") {
		return fmt.Errorf("%q: a VLAN has one ACL of what leaves it", v)
	}
	return setExpr(func(n *Network) *Expr { return &n.VLANOutACL })(n, v)
}

func setAllowForward(n *Network, v string) error {
	for _, name := range strings.Split(v, ",") {
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("a network's name is empty")
		}
		n.AllowForward = append(n.AllowForward, name)
	}
	return nil
}
