// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// portKeys are the driver-opts of an endpoint.
var portKeys = []string{vlanKey, ofportKey, trunksKey, rateInKey, rateOutKey, aclKey, macPrefixKey}

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
	for _, name := range sortedKeys(r.Options) {
		if err := e.setOption(name, r.Options[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if e.MAC != "" && e.MACPrefix != "" {
		errs = append(errs, fmt.Errorf("driver-opt %s: a MAC address is given too", macPrefixKey))
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
	case !strings.HasPrefix(name, portKeyPrefix) && !strings.HasPrefix(name, labelPrefix):
		return nil // Docker's own
	}
	if err := e.setPortKey(name, strings.TrimSpace(text)); err != nil {
		return fmt.Errorf("driver-opt %s: %w", name, err)
	}
	return nil
}

func (e *Endpoint) setPortKey(name, v string) (err error) {
	switch name {
	case vlanKey:
		e.VLAN, err = ParseVLAN(v)
	case ofportKey:
		e.OFPort, err = ParseOFPort(v)
	case trunksKey:
		e.Trunks, err = ParseVLANs(v)
	case rateInKey:
		e.RateIn, err = ParseBitRate(v)
	case rateOutKey:
		e.RateOut, err = ParseBitRate(v)
	case aclKey:
		e.ACL, err = ParseExpr(v)
	case macPrefixKey:
		e.MACPrefix, err = ParseMACPrefix(v)
	case mirrorKey:
		err = errors.New("mirroring is not available yet")
	default:
		err = fmt.Errorf("it is unknown; did you mean %s?", Nearest(name, portKeys))
	}
	return err
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
