// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"net/netip"

	"dovesnap/spec"

	"golang.org/x/sys/unix"
)

// socket is a bound socket.
type socket int

const (
	nothing socket = -1 // to hold
	notHeld socket = -2 // somebody else has it
)

func (s socket) close() {
	if s >= 0 {
		_ = unix.Close(int(s))
	}
}

// bindError says which address refused.
type bindError struct {
	at    netip.AddrPort
	cause error
}

// bindAll binds a port of several addresses, or none.
func bindAll(proto spec.Proto, hosts []side, port uint16) ([]socket, *bindError) {
	var out []socket
	for _, h := range hosts {
		at := netip.AddrPortFrom(h.ip, port)
		s, err := bind(proto, at, false)
		if err != nil {
			hold{sockets: out}.close()
			return nil, &bindError{at, err}
		}
		out = append(out, s)
	}
	return out, nil
}

// bind holds a port. With absent it does so though the host has not got the
// address (yet).
//
// The socket does not listen, so that what is not redirected (::1) is refused at
// once. Without SO_REUSEADDR nobody else can bind, but neither can we while
// connections of a server that was stopped are in TIME_WAIT. Then it is bound
// with it, and has to listen, behind a filter that lets nothing in: of two that
// have SO_REUSEADDR, the kernel keeps them apart only if one listens
// (inet_csk_bind_conflict).
func bind(proto spec.Proto, at netip.AddrPort, absent bool) (socket, error) {
	s, err := open(proto, at, absent, false)
	if isBusy(err) && proto == spec.TCP {
		return open(proto, at, absent, true)
	}
	return s, err
}

func open(proto spec.Proto, at netip.AddrPort, absent, reuse bool) (socket, error) {
	kind, number := unix.SOCK_STREAM, unix.IPPROTO_TCP
	switch proto {
	case spec.UDP:
		kind, number = unix.SOCK_DGRAM, unix.IPPROTO_UDP
	case spec.SCTP:
		number = unix.IPPROTO_SCTP
	}
	domain := unix.AF_INET
	if at.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, number)
	switch {
	case proto == spec.SCTP && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT)),
		domain == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT):
		return nothing, nil // nobody else can have it either
	case err != nil:
		return notHeld, err
	}
	if err := setUp(fd, proto, at, absent, reuse); err != nil {
		_ = unix.Close(fd)
		return notHeld, err
	}
	return socket(fd), nil
}

func setUp(fd int, proto spec.Proto, at netip.AddrPort, absent, reuse bool) error {
	var address unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port()), Addr: [4]byte{}}
	if at.Addr().Is4() {
		address = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	} else {
		address = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	if absent {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1); err != nil {
			return err
		}
	}
	if reuse {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	if proto == spec.UDP || reuse {
		if err := deafen(fd); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, address); err != nil {
		return err
	}
	if reuse {
		return unix.Listen(fd, 1)
	}
	return nil
}

// deafen attaches a filter that drops everything: nobody ever reads the socket,
// and what reaches it (a datagram to ::1, or while our rules are flushed) would
// stay in its buffer.
func deafen(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
}

func isBusy(err error) bool      { return errors.Is(err, unix.EADDRINUSE) }
func isNoAddress(err error) bool { return errors.Is(err, unix.EADDRNOTAVAIL) }
