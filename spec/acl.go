// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"regexp"
	"strings"
)

// Expr says which Faucet ACLs apply, network by network: ITEM[/ITEM…], an ITEM
// being ACLS for any network or NETWORK:ACLS for one, and ACLS names joined by
// commas, which Faucet applies in that order. The last item that fits a network
// wins. It is kept as written, since a network's name comes after its ID.
type Expr string

var aclName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// ParseExpr checks an expression. What the old program passed over without a
// word, such as an item with two colons, is refused: a container must not run
// under a laxer ACL than its own for the sake of a typo.
func ParseExpr(s string) (Expr, error) {
	if s == "" {
		return "", fmt.Errorf("it names no ACL")
	}
	for _, item := range strings.Split(s, "/") {
		network, acls, named := strings.Cut(item, ":")
		switch {
		case !named:
			acls = item
		case network == "":
			return "", fmt.Errorf("%q names no network before the colon", item)
		case acls == "":
			continue // what the network does by default
		}
		for _, name := range strings.Split(acls, ",") {
			if !aclName.MatchString(name) {
				return "", fmt.Errorf("%q is not the name of an ACL (in %q: ACL[,ACL…] or NETWORK:ACL[,ACL…], several of these joined by /)", name, s)
			}
		}
	}
	return Expr(s), nil
}

// For returns the ACLs of the network of that name; nil when the expression says
// nothing of it.
func (e Expr) For(network string) []string {
	var acls string
	if e == "" {
		return nil
	}
	for _, item := range strings.Split(string(e), "/") {
		name, value, named := strings.Cut(item, ":")
		switch {
		case !named:
			acls = item
		case name == network:
			acls = value
		}
	}
	if acls == "" {
		return nil
	}
	return strings.Split(acls, ",")
}

// ACLs returns the ACLs of an endpoint on its network: its own, else the
// network's default.
func (e Endpoint) ACLs(n Network) []string {
	if own := e.ACL.For(n.Name); own != nil {
		return own
	}
	return n.DefaultACL.For(n.Name)
}
