// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

const (
	dockerPrefix  = "com.docker.network."
	portMapOption = dockerPrefix + "portmap"
	ifNameOption  = dockerPrefix + "endpoint.ifname"
)

// EndpointRequest is what Docker's CreateEndpoint says of an endpoint, still as
// text; empty fields are the driver's to choose.
type EndpointRequest struct {
	ID          EndpointID
	Network     NetworkID
	Address     string // CIDR
	AddressIPv6 string // CIDR
	MAC         string
	Options     map[string]any // endpoint driver-opts are top-level keys
}

// ParseEndpoint turns a request into an Endpoint or one error that names
// everything wrong with it. The boot id is the caller's, and so are the OF port
// and the MAC where they are empty: see [EndpointMAC].
func ParseEndpoint(r EndpointRequest) (Endpoint, error) {
	e := Endpoint{ID: r.ID, Network: r.Network}
	var errs []error
	for _, a := range []string{r.Address, r.AddressIPv6} {
		if a == "" {
			continue
		}
		p, err := netip.ParsePrefix(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("address %q is not an address and length", a))
			continue
		}
		e.Addresses = append(e.Addresses, p)
	}
	if r.MAC != "" {
		var err error
		if e.MAC, err = ParseMAC(r.MAC); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		if err := e.setOption(name, r.Options[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if e.MACPrefix.On(e.MAC) != e.MAC { // Docker tells a restored endpoint's, which has it
		errs = append(errs, fmt.Errorf("driver-opt %s: the MAC address %s, which is given too, does not begin with %s", macPrefixKey, e.MAC, e.MACPrefix))
	}
	return e, oneLine(errs)
}

// setOption reads one option of an endpoint. Any key that isn't Docker's is a
// driver-opt, and one that is unknown is refused: a slip of the pen must not cost
// an ACL.
func (e *Endpoint) setOption(name string, value any) error {
	text, isText := value.(string)
	switch {
	case name == portMapOption:
		var err error
		e.PortMaps, err = ParsePortMaps(value)
		return err
	case name != ifNameOption && strings.HasPrefix(name, dockerPrefix):
		return nil
	case !isText:
		return fmt.Errorf("driver-opt %s: its value is not a string", name)
	case name != ifNameOption:
		return e.setKey(driverOpt, name, strings.TrimSpace(text))
	}
	e.IfName = text
	if err := CheckLinkName(text); err != nil {
		return fmt.Errorf("driver-opt %s: %w", name, err)
	}
	return nil
}
