// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Expr says which Faucet ACLs apply, network by network: ITEM[/ITEM…], an ITEM
// being ACLS for any network or NETWORK:ACLS for one, and ACLS names joined by
// commas, which Faucet applies in that order. The last item that fits a network
// wins. It is kept as written, since a network's name comes after its ID.
type Expr string

var aclName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// exprForm is the syntax in an error.
const exprForm = "ACL[,ACL…] or NETWORK:ACL[,ACL…], several of these joined by /"

// ParseExpr checks an expression and takes the blanks around its parts off. What
// the old program passed over without a word, such as an item with two colons, is
// refused: a container must not run under a laxer ACL than its own for the sake
// of a typo.
func ParseExpr(s string) (Expr, error) {
	if strings.TrimSpace(s) == "" {
		return "", fmt.Errorf("it names no ACL; leave it out to ask for none")
	}
	var items []string
	for _, item := range strings.Split(s, "/") {
		network, acls, named := cutItem(item)
		switch {
		case strings.Count(item, ":") > 1:
			return "", fmt.Errorf("%q has more than one colon: %s", item, exprForm)
		case named && !printable(network):
			return "", fmt.Errorf("%q names no network before the colon: %s", item, exprForm)
		case named && acls == "":
			items = append(items, network+":") // what that network does by default
			continue
		}
		names := strings.Split(acls, ",")
		for i, name := range names {
			names[i] = strings.TrimSpace(name)
			if !aclName.MatchString(names[i]) {
				return "", fmt.Errorf("%q is not the name of an ACL (in %q: %s)", names[i], s, exprForm)
			}
		}
		item = strings.Join(names, ",")
		if named {
			item = network + ":" + item
		}
		items = append(items, item)
	}
	return Expr(strings.Join(items, "/")), nil
}

// cutItem takes an item apart; named tells one for a single network.
func cutItem(item string) (network, acls string, named bool) {
	network, acls, named = strings.Cut(item, ":")
	if !named {
		network, acls = "", item
	}
	return strings.TrimSpace(network), strings.TrimSpace(acls), named
}

// printable reports whether a text could be the name of one of Docker's networks,
// which allows nearly anything.
func printable(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// For returns the ACLs of the network of that name; nil when the expression says
// nothing of it. While the name is not known yet (""), that is only what holds for
// any network, and an item for this one may say otherwise.
func (e Expr) For(network string) []string {
	last := ""
	for _, item := range strings.Split(string(e), "/") {
		if name, acls, named := cutItem(item); !named || name == network {
			last = acls
		}
	}
	if last == "" {
		return nil
	}
	return strings.Split(last, ",")
}

// Speaks reports whether an item is for the network of that name, or for any.
func (e Expr) Speaks(network string) bool {
	for _, item := range strings.Split(string(e), "/") {
		if name, _, named := cutItem(item); !named || name == network {
			return true
		}
	}
	return false
}

// Misspelt returns those networks of the expression whose names differ from a
// network's in nothing but capitals.
func (e Expr) Misspelt(network string) (names []string) {
	for _, item := range strings.Split(string(e), "/") {
		if name, _, _ := cutItem(item); name != network && strings.EqualFold(name, network) {
			names = append(names, name)
		}
	}
	return names
}

// ACLs returns the ACLs of an endpoint on its network: its own, else the
// network's default.
func (e Endpoint) ACLs(n Network) []string {
	if own := e.ACL.For(n.Name); own != nil {
		return own
	}
	return n.DefaultACL.For(n.Name)
}
