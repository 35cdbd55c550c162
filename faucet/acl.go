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

// The ACLs that our file defines. Operators may name them.
const (
	allowACL = "dovesnap-allow" // of a port without an ACL: see the package comment
	denyACL  = "dovesnap-deny"  // of a port whose ACL is not to be had
	// denyOutACL is that of a VLAN: the same ACL on both would end Faucet.
	denyOutACL = "dovesnap-deny-out"
)

var ownNames = []string{allowACL, denyACL, denyOutACL}

type aclEntry struct {
	Rule aclRule `yaml:"rule"`
}

type aclRule struct {
	Actions map[string]int `yaml:"actions"`
}

func ownACLs() map[string][]aclEntry {
	all := func(allow int) []aclEntry {
		return []aclEntry{{Rule: aclRule{Actions: map[string]int{"allow": allow}}}}
	}
	return map[string][]aclEntry{allowACL: all(1), denyACL: all(0), denyOutACL: all(0)}
}

// acls returns the ACLs of these names for a port: none is allowACL, and a list
// with an unknown one denyACL.
func (o Others) acls(names []string) []ACL {
	if len(names) == 0 {
		return []ACL{{Name: allowACL}}
	}
	return o.known(names, denyACL)
}

// aclsOut returns those for what leaves a VLAN.
func (o Others) aclsOut(names []string) []ACL { return o.known(names, denyOutACL) }

func (o Others) known(names []string, deny string) []ACL {
	if o.missing(names) != nil {
		return []ACL{{Name: deny}}
	}
	var out []ACL
	for _, name := range names {
		out = append(out, ACL{Name: name, Number: o.ACLs[name]})
	}
	return out
}

// missing returns an error that names the ACLs that nobody defines.
func (o Others) missing(names []string) error {
	var unknown []string
	for _, name := range names {
		if _, ok := o.ACLs[name]; !ok && !slices.Contains(ownNames, name) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if unknown == nil {
		return nil
	}
	noun := "ACL "
	if len(unknown) > 1 {
		noun = "ACLs "
	}
	noun += strings.Join(unknown, ", ")
	if o.Missing {
		return fmt.Errorf("%s, which should define %s, does not exist", o.Where, noun)
	}
	return errors.New(strings.Join(append([]string{fmt.Sprintf("%s has no %s: it defines %s", o.Where, noun, o.defined())}, o.PassedOver...), "; "))
}

// defined names the ACLs that there are, to an extent.
func (o Others) defined() string {
	const most = 10
	names := slices.Sorted(maps.Keys(o.ACLs))
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// allNames returns every ACL that an expression names, for whichever network.
func allNames(e spec.Expr) []string {
	var out []string
	for _, item := range strings.Split(string(e), "/") {
		if _, acls, named := strings.Cut(item, ":"); named {
			item = acls
		}
		for _, name := range strings.Split(item, ",") {
			if name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}
