// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"slices"
	"strings"
)

const (
	addPorts      = "ovs.bridge.add_ports"
	addCoproPorts = "ovs.bridge.add_copro_ports"
)

// option names the option that an uplink is from.
func (u Uplink) option() string {
	if u.Coprocessor {
		return addCoproPorts
	}
	return addPorts
}

// setUplinks reads NIC[/OFPORT[/ACL[/VLAN]]], comma-separated. The separator
// leaves room for one item of an expression: ACL or NETWORK:ACL.
func setUplinks(n *Network, v string) error {
	return addUplinks(n, v, "NIC/OFPORT/ACL/VLAN", func(u *Uplink, fields []string) (err error) {
		if len(fields) > 2 && fields[2] != "" {
			if u.ACL, err = ParseExpr(fields[2]); err != nil {
				return fmt.Errorf("ACL of %s: %w", u.Name, err)
			}
		}
		if len(fields) > 3 && fields[3] != "" {
			if u.VLAN, err = ParseVLAN(fields[3]); err != nil {
				return fmt.Errorf("VLAN of %s: %w", u.Name, err)
			}
		}
		return nil
	})
}

func setCoproPorts(n *Network, v string) error {
	return addUplinks(n, v, "NIC/OFPORT", func(u *Uplink, _ []string) error {
		u.Coprocessor = true
		return nil
	})
}

// addUplinks reads a comma-separated list of NIC[/OFPORT[…]]; rest reads the
// other fields of an item, as many as its form has.
func addUplinks(n *Network, v, form string, rest func(*Uplink, []string) error) error {
	for _, item := range strings.Split(v, ",") {
		item = strings.TrimSpace(item)
		fields := strings.Split(item, "/")
		u := Uplink{Name: fields[0]}
		if err := CheckLinkName(u.Name); err != nil {
			return err
		}
		if strings.Count(item, "/") > strings.Count(form, "/") {
			return fmt.Errorf("%q has more than %s", item, form)
		}
		if len(fields) > 1 && fields[1] != "" {
			var err error
			if u.OFPort, err = ParseOFPort(fields[1]); err != nil {
				return fmt.Errorf("port of %s: %w", u.Name, err)
			}
		}
		if err := rest(&u, fields); err != nil {
			return err
		}
		n.Uplinks = append(n.Uplinks, u)
	}
	return nil
}

// checkUplinks refuses interfaces and OF ports that are given twice, within an
// option or between two.
func (n Network) checkUplinks() (errs []error) {
	for i, u := range n.Uplinks {
		for _, v := range n.Uplinks[:i] {
			where := ""
			if u.Coprocessor != v.Coprocessor {
				where = " of " + v.option()
			}
			switch {
			case u.Name == v.Name && where == "":
				errs = append(errs, fmt.Errorf("option %s: %s is listed twice", u.option(), u.Name))
			case u.Name == v.Name:
				errs = append(errs, fmt.Errorf("option %s: %s is in %s too", u.option(), u.Name, v.option()))
			case u.OFPort == v.OFPort && u.OFPort != 0:
				errs = append(errs, fmt.Errorf("option %s: %s and %s%s both ask for OpenFlow port %d", u.option(), u.Name, v.Name, where, u.OFPort))
			}
		}
	}
	return errs
}

// sortUplinks puts coprocessors last, whatever order the options came in.
func (n *Network) sortUplinks() {
	slices.SortStableFunc(n.Uplinks, func(a, b Uplink) int {
		switch {
		case a.Coprocessor == b.Coprocessor:
			return 0
		case a.Coprocessor:
			return 1
		}
		return -1
	})
}

// pinUplinks numbers the uplinks whose user gave no OF port, lowest first. Ports
// that OVS numbers by itself swap numbers when a datapath is lost.
func (n *Network) pinUplinks() {
	used := map[OFPort]bool{}
	for _, u := range n.Uplinks {
		used[u.OFPort] = true
	}
	next := OFPort(1)
	for i := range n.Uplinks {
		if n.Uplinks[i].OFPort != 0 {
			continue
		}
		for used[next] {
			next++
		}
		n.Uplinks[i].OFPort, used[next] = next, true
	}
}
