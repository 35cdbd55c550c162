// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The two ends of the uplink, from the ranges for documentation (RFC 5737,
// RFC 3849), and what the outside offers: a TCP service on port 80 that answers
// with the address it sees the caller at, and a DNS server that knows one name.
// The outside has no route but to the uplink's own subnet.
const (
	HostAddress     = "198.51.100.1"
	OutsideAddress  = "198.51.100.2"
	HostAddress6    = "2001:db8:51::1"
	OutsideAddress6 = "2001:db8:51::2"
	OutsideName     = "outside.example"
	Uplink          = "uplink0" // the host's end
)

// uplinkMAC is the same at every boot, as a network card's is.
const uplinkMAC = "02:00:5e:00:53:01"

// outsideName is argv[0] of the process that is the outside, this binary again.
const outsideName = "dovesnap-host-outside"

// connectOutside starts the outside, which ends with the host, and lays the
// cable between them.
func (h *Host) connectOutside() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pidfd := -1
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{outsideName}, Env: Environment, Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, PidFD: &pidfd},
	}
	report, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.start(cmd, place{h.pidfd, unix.CLONE_NEWPID}); err != nil {
		return fmt.Errorf("cannot start outside: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	h.outside = place{pidfd, unix.CLONE_NEWNET}
	pid, err := bufio.NewReader(report).ReadString('\n') // its own, as the host counts
	if err != nil {
		return fmt.Errorf("cannot start outside: %w", err)
	}
	for _, args := range []string{
		"link add " + Uplink + " address " + uplinkMAC + " type veth peer name eth0 netns " + strings.TrimSpace(pid),
		"addr add " + HostAddress + "/30 dev " + Uplink,
		"addr add " + HostAddress6 + "/64 nodad dev " + Uplink,
		"link set " + Uplink + " up",
		"route add default via " + OutsideAddress,
		"-6 route add default via " + OutsideAddress6,
	} {
		if _, err := h.Run(ctx, append([]string{"ip"}, strings.Fields(args)...)...); err != nil {
			return err
		}
	}
	for _, args := range []string{
		"link set lo up",
		"addr add " + OutsideAddress + "/30 dev eth0",
		"addr add " + OutsideAddress6 + "/64 nodad dev eth0",
		"link set eth0 up",
	} {
		if _, err := h.RunOutside(ctx, append([]string{"ip"}, strings.Fields(args)...)...); err != nil {
			return err
		}
	}
	return nil
}

func runOutside() {
	tcp, err := net.Listen("tcp", ":80")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	udp, err := net.ListenPacket("udp", ":53")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Getpid())
	go serveDNS(udp)
	for {
		conn, err := tcp.Accept()
		if err != nil {
			os.Exit(1)
		}
		if from, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
			fmt.Fprintln(conn, from.Addr().Unmap())
		}
		_ = conn.Close()
	}
}

func serveDNS(conn net.PacketConn) {
	query := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := answerDNS(query[:n]); answer != nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

// answerDNS answers one query (RFC 1035, 4.1): the A record of OutsideName, no
// record of another type, and NXDOMAIN for any other name.
func answerDNS(query []byte) []byte {
	const header, answered, nxdomain, typeA = 12, 0x8180, 0x8183, 1
	var labels []string
	end := header
	for end < len(query) && query[end] != 0 {
		size := int(query[end])
		if end+1+size >= len(query) {
			return nil
		}
		labels = append(labels, string(query[end+1:end+1+size]))
		end += 1 + size
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	known := strings.EqualFold(strings.Join(labels, "."), OutsideName)
	answer := append([]byte(nil), query[:end]...)
	binary.BigEndian.PutUint16(answer[2:], answered)
	copy(answer[4:header], []byte{0, 1, 0, 0, 0, 0, 0, 0}) // one question, nothing else
	switch {
	case !known:
		binary.BigEndian.PutUint16(answer[2:], nxdomain)
	case binary.BigEndian.Uint16(query[end-4:]) == typeA:
		answer[7] = 1
		address := netip.MustParseAddr(OutsideAddress).As4()
		// Name: the question's; A, IN, 60 s, 4 bytes.
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4)
		answer = append(answer, address[:]...)
	}
	return answer
}
