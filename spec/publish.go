// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
)

// Proto is a transport protocol, as iptables and Docker's users write it.
type Proto string

const (
	TCP  Proto = "tcp"
	UDP  Proto = "udp"
	SCTP Proto = "sctp"
)

// protoNumbers are IANA's, which is how Docker sends them.
var protoNumbers = map[int]Proto{6: TCP, 17: UDP, 132: SCTP}

// PortMap is one port of a container that its user asked to publish (-p).
type PortMap struct {
	Proto       Proto
	HostIP      netip.Addr // the zero Addr: every address of the host, of both families
	HostPort    uint16     // the first that will do; 0: any free one
	HostPortEnd uint16     // the last that will do, at least HostPort
	Port        uint16     // of the container
}

// Published is a PortMap as it was chosen, of one address family.
type Published struct {
	Proto    Proto          `json:"proto"`
	HostIP   netip.Addr     `json:"host_ip"` // unspecified: every address of the host of that family
	HostPort uint16         `json:"host_port"`
	To       netip.AddrPort `json:"to"` // the container
}

// String returns it as `docker port` would, with the protocol at the end.
func (p Published) String() string { return p.Host() + "->" + p.To.String() + "/" + string(p.Proto) }

// Host returns the host's side: address and port.
func (p Published) Host() string { return netip.AddrPortFrom(p.HostIP, p.HostPort).String() }

// String returns the asked for host port or ports, for messages.
func (m PortMap) String() string {
	ip := m.HostIP
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	text := netip.AddrPortFrom(ip, m.HostPort).String()
	if m.HostPortEnd > m.HostPort {
		text += "-" + strconv.Itoa(int(m.HostPortEnd))
	}
	return text + "/" + string(m.Proto)
}

// ParsePortMaps reads the value of Docker's option com.docker.network.portmap, a
// list of {Proto, IP, Port, HostIP, HostPort, HostPortEnd} as encoding/json
// decodes it into an any; nil is an empty list. Keys of later Docker versions
// are passed over; IP is a relic that Docker leaves empty.
func ParsePortMaps(option any) ([]PortMap, error) {
	if option == nil {
		return nil, nil
	}
	list, ok := option.([]any)
	if !ok {
		return nil, fmt.Errorf("cannot read published ports: %v is not a list", option)
	}
	var maps []PortMap
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("cannot read published ports: %v is not an object", item)
		}
		m, err := parsePortMap(fields)
		if err != nil {
			return nil, fmt.Errorf("cannot read published port %v: %w", fields["Port"], err)
		}
		maps = append(maps, m)
	}
	return maps, nil
}

func parsePortMap(fields map[string]any) (m PortMap, err error) {
	var errs []error
	number := func(key string, least int) uint16 {
		n, ok := fields[key].(float64)
		if fields[key] == nil && least == 0 {
			return 0
		}
		if !ok || n != math.Trunc(n) || n < float64(least) || n > math.MaxUint16 {
			errs = append(errs, fmt.Errorf("%s %v is not a number from %d to 65535", key, fields[key], least))
			return 0
		}
		return uint16(n)
	}
	proto, port := number("Proto", 1), number("Port", 1)
	m = PortMap{Port: port, HostPort: number("HostPort", 0), HostPortEnd: number("HostPortEnd", 0)}
	if m.HostPortEnd == 0 {
		m.HostPortEnd = m.HostPort
	}
	if m.HostPortEnd < m.HostPort || m.HostPort == 0 && m.HostPortEnd != 0 {
		errs = append(errs, fmt.Errorf("host ports %d-%d are no range", m.HostPort, m.HostPortEnd))
	}
	if m.Proto, err = protoOf(int(proto)); err != nil && proto != 0 {
		errs = append(errs, err)
	}
	switch ip := fields["HostIP"].(type) {
	case nil:
	case string:
		if ip == "" {
			break
		}
		if m.HostIP, err = netip.ParseAddr(ip); err != nil || m.HostIP.Zone() != "" {
			errs = append(errs, fmt.Errorf("HostIP %q is not an address", ip))
		}
		m.HostIP = m.HostIP.Unmap()
	default:
		errs = append(errs, fmt.Errorf("HostIP %v is not text", ip))
	}
	return m, oneLine(errs)
}

func protoOf(number int) (Proto, error) {
	if p, ok := protoNumbers[number]; ok {
		return p, nil
	}
	return "", fmt.Errorf("protocol %d is not tcp, udp or sctp", number)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// CheckPublish refuses what a network cannot do with published ports.
func CheckPublish(n Network, maps []PortMap) error {
	for i, m := range maps {
		why := ""
		switch {
		case !n.Routed():
			why = "the network's mode is flat, its containers are on the LAN with all their ports"
		case m.HostIP == netip.IPv6Loopback():
			why = "nothing that is sent to ::1 can be passed on; 127.0.0.1 can"
		case m.HostIP.IsMulticast(), m.HostIP == broadcast:
			why = "that is no host's address"
		case m.HostIP.Is6() && m.HostIP.IsLinkLocalUnicast():
			why = "a link-local address is of one link alone; use another address of the host, or none"
		case slices.ContainsFunc(maps[:i], m.excludes):
			why = "it is asked for twice"
		default:
			continue
		}
		return errors.New("cannot publish port " + m.String() + ": " + why)
	}
	return nil
}

// excludes reports whether two mappings want the one host port that either would take.
func (m PortMap) excludes(o PortMap) bool {
	single := m.HostPort != 0 && m.HostPort == m.HostPortEnd && o.HostPort == o.HostPortEnd
	return single && m.Proto == o.Proto && m.HostPort == o.HostPort && overlap(m.HostIP, o.HostIP)
}

func overlap(a, b netip.Addr) bool {
	if !a.IsValid() || !b.IsValid() || a == b {
		return true
	}
	return a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}
