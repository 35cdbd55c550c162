// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
)

// Published is a published port and whose it is.
type Published struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Port
}

// Published returns all published ports, in the order of the host's.
func (s Status) Published() []Published {
	out := []Published{}
	for _, n := range s.Networks {
		for _, e := range n.Endpoints {
			for _, p := range e.Ports {
				out = append(out, Published{n.label(), e.label(), p})
			}
		}
	}
	slices.SortFunc(out, func(a, b Published) int {
		return cmp.Or(cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.HostIP, b.HostIP))
	})
	return out
}

// RenderPorts writes the published ports as a table for people.
func RenderPorts(w io.Writer, s Status) error {
	all := s.Published()
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No published ports. Publish one: docker run -p HOSTPORT:PORT --net NETWORK IMAGE")
		return err
	}
	t := table(w)
	fmt.Fprintln(t, "HOST\tPROTO\tCONTAINER\tADDRESS\tNETWORK")
	for _, p := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", hostPort(p.HostIP, p.HostPort), p.Proto, p.Container, hostPort(p.IP, p.Port.Port), p.Network)
	}
	return t.Flush()
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// RenderDoctor writes what is wrong, and the settings of the kernel's that were
// changed to forward packets and publish ports.
func RenderDoctor(w io.Writer, s Status) error {
	trouble := s.Trouble()
	if len(trouble) == 0 {
		fmt.Fprintln(w, "Nothing is wrong.")
	}
	for _, line := range trouble {
		fmt.Fprintf(w, "! %s\n", line)
	}
	if len(s.Changed) == 0 {
		_, err := fmt.Fprintln(w, "No setting of the kernel's had to be changed to forward packets or publish ports.")
		return err
	}
	fmt.Fprintln(w, "\nSettings of the kernel that dovesnap has changed to forward packets and publish ports:")
	t := table(w)
	fmt.Fprintln(t, "SETTING\tWAS\tIS\tWHY")
	for _, c := range s.Changed {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Key, c.Was, c.Is, c.Why)
	}
	return t.Flush()
}
