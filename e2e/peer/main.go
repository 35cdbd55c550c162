// SPDX-License-Identifier: Apache-2.0

// Peer is both ends of a connection, for tests: one program for containers, the
// host and the outside.
//
//	peer serve PORT…           tcp and udp, IPv4 and IPv6; answers with the source it sees
//	peer ask tcp|udp ADDRESS:PORT   prints that answer, or ends with status 1
//	peer tag DEVICE VLAN MAC        sends a hundred tagged frames to MAC
//	peer watch DEVICE MAC           prints the EtherType of each frame from MAC
package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// patience is for an answer that must not come, too.
const patience = 2 * time.Second

func main() {
	err := fmt.Errorf("usage: peer serve PORT… | ask tcp|udp ADDRESS:PORT | tag DEVICE VLAN MAC | watch DEVICE MAC")
	switch {
	case len(os.Args) > 2 && os.Args[1] == "serve":
		err = serve(os.Args[2:])
	case len(os.Args) == 4 && os.Args[1] == "ask":
		err = ask(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "tag":
		err = tag(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "watch":
		err = watch(os.Args[2], os.Args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ports []string) error {
	failed := make(chan error)
	for _, port := range ports {
		// Each family on its own: a datagram's answer has to leave from the address
		// it came to, which a kernel does for a connected socket only; containers have
		// one address of a family.
		for _, family := range []string{"4", "6"} {
			go func() {
				if l, err := net.Listen("tcp"+family, ":"+port); err == nil {
					failed <- accept(l)
				}
			}()
			go func() {
				if c, err := net.ListenPacket("udp"+family, ":"+port); err == nil {
					failed <- answer(c)
				}
			}()
		}
	}
	return <-failed
}

func accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = io.WriteString(c, source(c.RemoteAddr()))
		_ = c.Close()
	}
}

func answer(c net.PacketConn) error {
	buffer := make([]byte, 64)
	for {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return err
		}
		_, _ = c.WriteTo([]byte(source(from)), from)
	}
}

func source(a net.Addr) string {
	from, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return err.Error()
	}
	return from.Addr().Unmap().String()
}

func ask(proto, to string) error {
	c, err := net.DialTimeout(proto, to, patience)
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "who am I?"); err != nil {
		return err
	}
	buffer := make([]byte, 64)
	n, err := c.Read(buffer)
	if err != nil {
		return err
	}
	fmt.Println(string(buffer[:n]))
	return nil
}
