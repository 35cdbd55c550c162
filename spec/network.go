// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Request is what Docker's CreateNetwork says of a network, still as text.
type Request struct {
	ID       NetworkID
	Options  map[string]any // com.docker.network.generic: the -o options
	Subnets  []Subnet
	Internal bool
	// Controllers is the daemon's default for networks that name none.
	Controllers []Controller
	// FaucetManaged reports that dovesnap writes Faucet's configuration, so that
	// options that are for Faucet can be had.
	FaucetManaged bool
}

// mtuOption is Docker's own name for a network's MTU; people pass it to every
// driver, so it means the same here.
const mtuOption = "com.docker.network.driver.mtu"

// ParseNetwork turns a request into a Network or one error that names every bad
// option.
func ParseNetwork(r Request) (Network, error) {
	n := Network{ID: r.ID, Mode: Flat, VLAN: 100, Subnets: r.Subnets, Internal: r.Internal, Controllers: r.Controllers}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		value, ok := r.Options[name].(string)
		if !ok {
			errs = append(errs, fmt.Errorf("option %s: its value is not a string", name))
			continue
		}
		if err := setOption(&n, name, strings.TrimSpace(value)); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, n.checkFaucet(r)...)
	if n.Bridge == "" {
		n.Bridge = BridgeName(n.ID)
	}
	if n.DPID == 0 {
		n.DPID = DerivedDPID(n.ID)
	}
	n.sortUplinks()
	errs = append(errs, n.checkUplinks()...)
	n.pinUplinks()
	if len(errs) == 0 {
		errs = append(errs, n.check())
	}
	return n, oneLine(errs)
}

func setOption(n *Network, name, value string) error {
	known := name
	if name == mtuOption {
		known = "ovs.bridge.mtu"
	}
	for _, o := range Options {
		if o.Name != known {
			continue
		}
		if o.Later {
			return fmt.Errorf("option %s is not available yet", name)
		}
		if err := o.set(n, value); err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
		return nil
	}
	switch {
	case strings.HasPrefix(name, "com.docker.network.bridge."):
		return fmt.Errorf("option %s is one of Docker's bridge driver's", name)
	case strings.HasPrefix(name, "com.docker.network."):
		return nil // Docker's own, meant for Docker
	}
	for _, k := range PortKeys {
		if k.Name == name && !k.Later {
			return fmt.Errorf("option %s: it is a driver-opt of docker run: --network name=NETWORK,driver-opt=%s=VALUE", name, name)
		}
	}
	names := make([]string, len(Options))
	for i, o := range Options {
		names[i] = o.Name
	}
	return fmt.Errorf("unknown option %s%s", name, DidYouMean(Near(name, names)))
}

// check refuses what only shows when all options are known.
func (n Network) check() error {
	for _, u := range n.Uplinks {
		if u.Name == n.Bridge {
			return fmt.Errorf("option %s: %s is the bridge itself", u.option(), u.Name)
		}
	}
	if n.MigrateUplinks && len(n.Uplinks) == 0 {
		return fmt.Errorf("option ovs.bridge.add_ports_force: there is nothing to migrate without ovs.bridge.add_ports")
	}
	if !n.Routed() {
		return nil
	}
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() {
			return nil
		}
	}
	return fmt.Errorf("mode %s needs a subnet with a gateway: give --subnet and --gateway, and no --ipam-driver null", n.Mode)
}
