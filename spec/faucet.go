// SPDX-License-Identifier: Apache-2.0

package spec

import "fmt"

// The reasons why something that is for Faucet cannot be had.
const (
	offReason    = "faucet.mode is off, so that faucet.yaml is yours: say it there, or set faucet.mode to file or rpc"
	noController = "the network has no controller that would apply it"
)

// checkFaucet refuses options that only Faucet could realise when dovesnap does
// not configure it, or when the network has no controller: an ACL that is asked
// for and not applied is worse than none.
func (n Network) checkFaucet(r Request) (errs []error) {
	given := func(name string) bool { _, ok := r.Options[name]; return ok }
	refuse := func(name, why string) { errs = append(errs, fmt.Errorf("option %s: %s", name, why)) }
	alone := len(n.Controllers) == 0
	if alone && given("ovs.bridge.controller") {
		return nil // it is bad, and said to be
	}
	for _, o := range Options {
		switch {
		case o.Faucet != managed || !given(o.Name):
		case alone:
			refuse(o.Name, noController)
		case !r.FaucetManaged:
			refuse(o.Name, offReason)
		}
	}
	for _, u := range n.Uplinks {
		switch {
		case u.ACL != "" && alone:
			refuse(addPorts, fmt.Sprintf("ACL of %s: %s", u.Name, noController))
		case u.ACL != "" && !r.FaucetManaged:
			refuse(addPorts, fmt.Sprintf("ACL of %s: %s", u.Name, offReason))
		case u.VLAN != 0 && !alone && !r.FaucetManaged:
			refuse(addPorts, fmt.Sprintf("VLAN of %s: %s", u.Name, offReason))
		}
	}
	if !n.Routed() && n.NATACL != "" {
		refuse("ovs.bridge.nat_acl", "mode flat has no gateway port")
	}
	return errs
}
