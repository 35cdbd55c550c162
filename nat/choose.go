// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"dovesnap/spec"
)

const localPortRange = "/proc/sys/net/ipv4/ip_local_port_range"

// choose finds the first host port that is free in every family concerned.
func (p *Ports) choose(id spec.EndpointID, m spec.PortMap, addresses []netip.Prefix) ([]spec.Published, []socket, error) {
	hosts, err := sides(m, addresses)
	if err != nil {
		return nil, nil, err
	}
	first, last := m.HostPort, m.HostPortEnd
	anyPort := first == 0
	if anyPort {
		first, last = ephemeral()
	}
	at := first
	if anyPort && p.next >= first && p.next <= last {
		at = p.next
	}
	var refused *bindError
	for range int(last) - int(first) + 1 {
		sockets, err := bindAll(m.Proto, hosts, at)
		if err == nil {
			if anyPort {
				p.next = at + 1 // 0 after the last: the search then begins anew
			}
			return publishedAt(m, hosts, at), sockets, nil
		}
		if refused = err; !isBusy(err.cause) {
			break // another port would be refused as well
		}
		if at++; at > last || at == 0 {
			at = first
		}
	}
	why := p.explain(id, m.Proto, refused.at, refused.cause)
	switch {
	case !isBusy(refused.cause):
	case anyPort:
		return nil, nil, fmt.Errorf("cannot publish container port %d/%s: no port of %d-%d is free: %s: %w", m.Port, m.Proto, first, last, refused.at, why)
	case last > first:
		return nil, nil, fmt.Errorf("cannot publish port %s: none of them is free: %s: %w", m, refused.at, why)
	}
	return nil, nil, fmt.Errorf("cannot publish port %s/%s: %w", refused.at, m.Proto, why)
}

// side is a host address and the container's of the same family.
type side struct{ ip, to netip.Addr }

// sides returns where a mapping is to be: for any address, in each family that
// the container has.
func sides(m spec.PortMap, addresses []netip.Prefix) ([]side, error) {
	var out []side
	for _, a := range addresses {
		to := a.Addr()
		wildcard := netip.IPv4Unspecified()
		if to.Is6() {
			wildcard = netip.IPv6Unspecified()
		}
		switch {
		case slices.ContainsFunc(out, func(s side) bool { return s.to.Is4() == to.Is4() }):
		case !m.HostIP.IsValid():
			out = append(out, side{wildcard, to})
		case m.HostIP.Is4() == to.Is4():
			out = append(out, side{m.HostIP, to})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot publish port %s: the container has no address of that family", m)
	}
	return out, nil
}

// fits reports whether published is what choose could have made of the maps: after
// a restart, what was chosen is all that is known.
func fits(published []spec.Published, maps []spec.PortMap, addresses []netip.Prefix) bool {
	for _, m := range maps {
		hosts, err := sides(m, addresses)
		if err != nil || len(published) < len(hosts) {
			return false
		}
		port := published[0].HostPort
		if m.HostPort != 0 && (port < m.HostPort || port > m.HostPortEnd) {
			return false
		}
		if !slices.Equal(published[:len(hosts)], publishedAt(m, hosts, port)) {
			return false
		}
		published = published[len(hosts):]
	}
	return len(published) == 0
}

// publishedAt returns a mapping as it is with a port.
func publishedAt(m spec.PortMap, hosts []side, port uint16) (out []spec.Published) {
	for _, h := range hosts {
		out = append(out, spec.Published{Proto: m.Proto, HostIP: h.ip, HostPort: port, To: netip.AddrPortFrom(h.to, m.Port)})
	}
	return out
}

// ephemeral returns the range that Docker takes ports from too.
func ephemeral() (first, last uint16) {
	f := strings.Fields(readValue(localPortRange))
	if len(f) == 2 {
		a, errA := strconv.ParseUint(f[0], 10, 16)
		b, errB := strconv.ParseUint(f[1], 10, 16)
		if errA == nil && errB == nil && a > 0 && a <= b {
			return uint16(a), uint16(b)
		}
	}
	return 49153, 65535 // IANA's, and Docker's where the kernel does not say
}

// explain says, for the user of docker run, why an endpoint does not get a port.
func (p *Ports) explain(id spec.EndpointID, proto spec.Proto, at netip.AddrPort, cause error) error {
	switch {
	case errors.Is(cause, os.ErrPermission):
		return fmt.Errorf("%w (dovesnap needs CAP_NET_BIND_SERVICE)", cause)
	case isNoAddress(cause):
		return errors.New("the host has no such address")
	case !isBusy(cause):
		return cause
	}
	switch user := p.user(proto, at); user {
	case id:
		return errors.New("the same container has it already")
	case "":
		return errors.New("it is in use by " + process(proto, at))
	default:
		return errors.New("it is in use by " + p.name(user))
	}
}

// user returns the endpoint that has a port; "" if none has.
func (p *Ports) user(proto spec.Proto, at netip.AddrPort) spec.EndpointID {
	for id, h := range p.held {
		for i, o := range h.published {
			if h.sockets[i] == notHeld {
				continue
			}
			same := o.HostIP == at.Addr() || o.HostIP.Is4() == at.Addr().Is4() && (o.HostIP.IsUnspecified() || at.Addr().IsUnspecified())
			if o.Proto == proto && o.HostPort == at.Port() && same {
				return id
			}
		}
	}
	return ""
}

// process says which process has a port.
func process(proto spec.Proto, at netip.AddrPort) string {
	if name := processWith(proto, at); name != "" {
		return name
	}
	return "another process"
}
