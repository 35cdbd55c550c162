// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dovesnap/spec"
)

// refuse tells why a network's datapath cannot be written beside what the
// operator has and what is already in c; nil when it can.
func (o Others) refuse(n spec.Network, c Config) error {
	if _, taken := o.DPs[n.Name]; taken {
		return fmt.Errorf("%s has a datapath of that name; name one of them differently", o.Where)
	}
	if err := o.refuseDPID(n); err != nil {
		return err
	}
	return o.refuseVLAN(n, c)
}

func (o Others) refuseDPID(n spec.Network) error {
	for _, name := range slices.Sorted(maps.Keys(o.DPs)) {
		if o.DPs[name] == n.DPID {
			return fmt.Errorf("its datapath id %s is that of %q in %s", n.DPID, name, o.Where)
		}
	}
	return nil
}

// refuseVLAN tells why what the network wants of its VLAN cannot be had. The
// network is then left out as a whole: without its vlan_out_acl it would be laxer
// than it asked.
func (o Others) refuseVLAN(n spec.Network, c Config) error {
	if vid, taken := o.VLANs[fmt.Sprint(n.VLAN)]; taken && vid != n.VLAN {
		return fmt.Errorf("its VLAN %d is the name of VLAN %d in %s", n.VLAN, vid, o.Where)
	}
	out := n.VLANOutACL.For(n.Name)
	if out == nil {
		return nil
	}
	if key, taken := o.vlanKey(n.VLAN); taken && !slices.Equal(o.ACLsOut[key], o.aclsOut(out)) {
		return fmt.Errorf("vlan_out_acl: %s has VLAN %d itself, as %q: write acls_out there", o.Where, n.VLAN, key)
	}
	for _, name := range out {
		if o.OnPorts[name] {
			return fmt.Errorf("vlan_out_acl: ACL %q is on a port in %s: %s", name, o.Where, onBoth)
		}
	}
	if v, ok := c.VLANs[n.VLAN]; ok && !slices.Equal(v.ACLsOut, o.aclsOut(out)) {
		return fmt.Errorf("vlan_out_acl: another network on VLAN %d has a different one, and Faucet has one for a VLAN", n.VLAN)
	}
	return nil
}

// admit refuses at `docker network create` what is known then to be impossible,
// beside the networks that there are. The network has no name yet.
func (o Others) admit(n spec.Network, beside spec.State) error {
	if len(n.Controllers) == 0 {
		return nil
	}
	var errs []error
	if err := o.refuseDPID(n); err != nil {
		errs = append(errs, fmt.Errorf("option ovs.bridge.dpid: %v", err))
	}
	check := func(option string, e spec.Expr) {
		if err := o.missing(allNames(e)); err != nil && !o.Partial {
			errs = append(errs, fmt.Errorf("option %s: %v", option, err))
		}
	}
	check("ovs.bridge.default_acl", n.DefaultACL)
	check("ovs.bridge.nat_acl", n.NATACL)
	check("ovs.bridge.vlan_out_acl", n.VLANOutACL)
	for _, u := range n.Uplinks {
		check("ovs.bridge.add_ports", u.ACL)
	}
	if err := o.refuseVLAN(n, Config{}); err != nil {
		errs = append(errs, fmt.Errorf("option ovs.bridge.vlan: %v", err))
	}
	return joined(append(errs, o.admitOnce(n, beside)))
}

// aclsOf returns the ACLs that a network names.
func aclsOf(n spec.Network) []string {
	all := append(exprs(n), n.VLANOutACL)
	var out []string
	for _, e := range all {
		out = append(out, allNames(e)...)
	}
	return out
}

// joined puts errors into one line.
func joined(errs []error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, oneLine(err.Error()))
		}
	}
	if texts == nil {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// refused tells why an endpoint's policy cannot be had.
func (o Others) refused(n spec.Network, e spec.Endpoint, c Config) error {
	if !managed(n) {
		return nil
	}
	if err := o.refuse(n, c); err != nil {
		return err
	}
	if err := o.missing(append(slices.Clip(e.ACLs(n)), n.VLANOutACL.For(n.Name)...)); err != nil {
		return err
	}
	return c.both(e.ACLs(n), o)
}

// networkProblem tells what is wrong with a network's part of the configuration.
func (o Others) networkProblem(n spec.Network, c Config) error {
	if !managed(n) {
		return nil
	}
	if err := o.refuse(n, c); err != nil {
		return fmt.Errorf("Faucet is not told of it: %v", err)
	}
	errs := []error{}
	check := func(what string, e spec.Expr) {
		if err := o.missing(e.For(n.Name)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %v; until that is mended, what it is for is to drop everything", what, err))
		} else if err := c.both(e.For(n.Name), o); err != nil {
			errs = append(errs, fmt.Errorf("%s: %v; until that is mended, what it is for is to drop everything", what, err))
		}
	}
	if err := o.missing(n.VLANOutACL.For(n.Name)); err != nil {
		errs = append(errs, fmt.Errorf("vlan_out_acl: %v; until that is mended, the VLAN is to drop everything", err))
	}
	check("default_acl", n.DefaultACL)
	if n.Routed() || n.MigrateUplinks {
		check("nat_acl", n.NATACL)
	}
	for _, u := range n.Uplinks {
		check("add_ports, "+u.Name, u.ACL)
	}
	return joined(errs)
}
