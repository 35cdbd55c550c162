// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Endpoint driver-opts that later work gives a meaning.
var laterPortOptions = []string{"ovs.port.vlan", "ovs.port.ofport", "ovs.port.trunks", "ovs.port.rate_in", "ovs.port.rate_out"}

const (
	portMapOption = "com.docker.network.portmap"
	ifNameOption  = "com.docker.network.endpoint.ifname"
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
// everything wrong with it. The OF port and the boot id are the caller's.
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
	if e.MAC = EndpointMAC(e.ID, e.Addresses); r.MAC != "" {
		var err error
		if e.MAC, err = ParseMAC(r.MAC); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range sortedKeys(r.Options) {
		errs = append(errs, e.setOption(name, r.Options[name]))
	}
	return e, oneLine(errs)
}

func (e *Endpoint) setOption(name string, value any) error {
	text, _ := value.(string)
	switch {
	case name == ifNameOption:
		e.IfName = text
		return CheckLinkName(text)
	case name == portMapOption:
		return RefusePorts(value)
	case !strings.HasPrefix(name, "ovs."):
		return nil // Docker's own
	}
	for _, later := range laterPortOptions {
		if name == later {
			return fmt.Errorf("driver-opt %s is not available yet", name)
		}
	}
	return fmt.Errorf("unknown driver-opt %s; did you mean %s?", name, Nearest(name, laterPortOptions))
}

// RefusePorts says no to published ports in a portmap option's value, a list of
// {Proto, Port, HostPort, …}; nil when there are none.
func RefusePorts(portmap any) error {
	list, _ := portmap.([]any)
	if len(list) == 0 {
		return nil
	}
	var ports []string
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			ports = append(ports, fmt.Sprint(m["Port"]))
		}
	}
	return errors.New("publishing ports (-p) is not available yet on this driver's networks: container port " + strings.Join(ports, ", ") + "; containers reach each other without it")
}
