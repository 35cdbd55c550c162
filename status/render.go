// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// What keeps the text on one screen; JSON has it all.
const (
	maxTrouble = 10
	maxRows    = 13 // endpoints
)

// Render writes the Status as a table for people: first what is wrong, then
// what there is.
func Render(w io.Writer, s Status) error {
	var b bytes.Buffer
	trouble := s.Trouble()
	fmt.Fprintf(&b, "dovesnap %s, pid %d, up %s: ", s.Version, s.PID, span(s.Time.Sub(s.Since)))
	switch len(trouble) {
	case 0:
		b.WriteString("all is well\n")
	case 1:
		b.WriteString("1 problem\n")
	default:
		fmt.Fprintf(&b, "%d problems\n", len(trouble))
	}
	for _, t := range trouble[:min(len(trouble), maxTrouble)] {
		fmt.Fprintf(&b, "  ! %s\n", t)
	}
	if more := len(trouble) - maxTrouble; more > 0 {
		fmt.Fprintf(&b, "  ! and %d more: dovesnap status --json\n", more)
	}
	b.WriteString("\n")
	renderOVS(&b, s)
	renderNetworks(&b, s.Networks)
	renderEndpoints(&b, s.Networks)
	// tabwriter pads the last column too.
	_, err := w.Write(regexp.MustCompile(` +\n`).ReplaceAll(b.Bytes(), []byte("\n")))
	return err
}

func renderOVS(b *bytes.Buffer, s Status) {
	fmt.Fprintf(b, "Open vSwitch: %s, %s datapath\n", or(s.OVS.Mode, "neither managed nor attached yet"), or(s.OVS.Datapath, "unknown"))
	t := table(b)
	for _, c := range s.OVS.Children {
		fmt.Fprintf(t, "  %s\t%s\tfor %s\tpid %s\t%s\n", c.Name, c.State, span(s.Time.Sub(c.Since)), number(c.PID), restarts(c.Restarts))
	}
	t.Flush()
	if s.Docker.Connected {
		b.WriteString("Docker: connected\n")
	} else {
		b.WriteString("Docker: not connected\n")
	}
	if text := s.Faucet.text(); text != "" {
		fmt.Fprintf(b, "Faucet's configuration: %s\n", text)
	}
}

func renderNetworks(b *bytes.Buffer, networks []Network) {
	if len(networks) == 0 {
		b.WriteString("\nNo networks. Create one: docker network create -d ovs NAME\n")
		return
	}
	b.WriteString("\n")
	t := table(b)
	fmt.Fprintln(t, "NETWORK\tBRIDGE\tMODE\tDPID\tVLAN\tMTU\tSUBNET\tGATEWAY\tENDPOINTS")
	for _, n := range networks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", n.label(), n.Bridge, n.Mode, n.DPID, number(n.VLAN), number(n.MTU),
			join(n.Subnets), join(n.Gateways), len(n.Endpoints))
	}
	t.Flush()
	for _, n := range networks {
		for _, c := range n.Controllers {
			fmt.Fprintf(b, "%s: controller %s, %s\n", n.label(), c.Target, c.state())
		}
		if len(n.Uplinks) > 0 {
			fmt.Fprintf(b, "%s: added ports %s\n", n.label(), join(n.Uplinks))
		}
	}
}

// text says where Faucet's configuration is; nothing where it is the operator's.
func (f Faucet) text() string {
	switch {
	case f.Mode == "" || f.Mode == "off":
		return ""
	case !f.Delivered:
		return f.Mode + ", not delivered yet"
	case !f.Confirmed:
		return f.Mode + ", delivered, not confirmed by Faucet"
	}
	return f.Mode + ", in force"
}

// renderEndpoints shows those with problems, and those that are held, first when
// there are too many.
func renderEndpoints(b *bytes.Buffer, networks []Network) {
	var ill, well []string
	for _, n := range networks {
		for _, e := range n.Endpoints {
			row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t", n.label(), e.label(), join(e.Addresses), e.MAC, number(e.OFPort), e.Link)
			if mark := e.mark(); mark != "" {
				ill = append(ill, row+mark)
			} else {
				well = append(well, row)
			}
		}
	}
	rows := append(ill, well...)
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n")
	t := table(b)
	fmt.Fprintln(t, "NETWORK\tCONTAINER\tADDRESS\tMAC\tOFPORT\tLINK\t")
	for _, row := range rows[:min(len(rows), maxRows)] {
		fmt.Fprintln(t, row)
	}
	t.Flush()
	if more := len(rows) - maxRows; more > 0 {
		fmt.Fprintf(b, "and %d more: dovesnap status --json\n", more)
	}
}

// mark is what stands beside an endpoint.
func (e Endpoint) mark() string {
	switch {
	case e.Held && len(e.Problems) > 0:
		return "held !"
	case e.Held:
		return "held"
	case len(e.Problems) > 0:
		return "!"
	}
	return ""
}

func (c Controller) state() string {
	switch {
	case c.Connected:
		return "connected"
	case c.passive():
		return "waiting for it"
	}
	return "not connected"
}

func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// span is a duration in its two largest units.
func span(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
}

func restarts(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 restart"
	}
	return fmt.Sprintf("%d restarts", n)
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func join(list []string) string { return or(strings.Join(list, ", "), "-") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
