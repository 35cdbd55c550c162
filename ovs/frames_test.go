// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"dovesnap/spec"
)

// experimental is an Ethernet type for tests: IEEE 802, "Local Experimental
// Ethertype 1".
const experimental = 0x88b5

// A tapped link sends frames, and takes in those that others sent.
type tapped struct {
	name string
	fd   int
}

func tap(t testing.TB, name string) tapped {
	t.Helper()
	link, err := net.InterfaceByName(name)
	must(t, err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
	must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1))
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}))
	return tapped{name: name, fd: fd}
}

// send broadcasts a frame in a VLAN; 0: without a tag.
func (l tapped) send(t testing.TB, vlan int, text string) {
	t.Helper()
	frame := append(slices.Clone(broadcast), 2, 0, 0, 0, 0, l.name[len(l.name)-1])
	if vlan != 0 {
		frame = binary.BigEndian.AppendUint16(frame, 0x8100)
		frame = binary.BigEndian.AppendUint16(frame, uint16(vlan))
	}
	frame = binary.BigEndian.AppendUint16(frame, experimental)
	frame = append(append(frame, byte(len(text))), text...)
	_, err := unix.Write(l.fd, append(frame, make([]byte, 60)...))
	must(t, err)
}

// receive returns the next frame's VLAN and text.
func (l tapped) receive(t testing.TB) (vlan int, text string) {
	t.Helper()
	buffer, control := make([]byte, 2048), make([]byte, 256)
	for {
		n, nc, _, from, err := unix.Recvmsg(l.fd, buffer, control, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("%s has nothing to receive: %v", l.name, err)
		}
		frame := buffer[:n]
		if at, ok := from.(*unix.SockaddrLinklayer); ok && at.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if vlan = tagOf(control[:nc]); len(frame) > 18 && binary.BigEndian.Uint16(frame[12:]) == 0x8100 {
			vlan, frame = int(binary.BigEndian.Uint16(frame[14:])), frame[4:]
		}
		if len(frame) > 15 && binary.BigEndian.Uint16(frame[12:]) == experimental {
			return vlan, string(frame[15 : 15+frame[14]])
		}
	}
}

// tagOf reads the tag that the kernel has taken off a frame: struct tpacket_auxdata
// of packet(7).
func tagOf(control []byte) int {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 &&
			binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			return int(binary.NativeEndian.Uint16(m.Data[16:]) & 0xfff)
		}
	}
	return 0
}

// Who receives what, and with which tag, in a switch without controllers: wire0 is
// behind an uplink, wire1 behind one of VLAN 20, both has VLAN 30 and a trunk.
func TestVLANsSeparateFrames(t *testing.T) {
	d := startUserspace(t)
	s, n := d.connect(), plain(1)
	links := map[string]spec.Endpoint{
		"own1": {}, "own2": {},
		"acc20": {VLAN: 20}, "acc30": {VLAN: 30},
		"trunk": {Trunks: []int{20, 31}}, "both": {VLAN: 30, Trunks: []int{20}},
	}
	pair(t, "nic0", "wire0")
	pair(t, "nic1", "wire1")
	pair(t, "every0", "every")
	n.Uplinks = []spec.Uplink{{Name: "nic0"}, {Name: "nic1", VLAN: 20}}
	must(t, s.EnsureBridge(within(t, 20*time.Second), n, true))
	taps := map[string]tapped{"wire0": tap(t, "wire0"), "wire1": tap(t, "wire1")}
	for i, name := range []string{"own1", "own2", "acc20", "acc30", "trunk", "both"} {
		e := endpoint(1, i+1)
		e.VLAN, e.Trunks = links[name].VLAN, links[name].Trunks
		attach(t, s, n, e, name)
		taps[name] = tap(t, name)
	}
	d.vsctl("add-port", n.Bridge, "every0") // takes part in every VLAN
	fence := tap(t, "every")

	names := []string{"wire0", "wire1", "own1", "own2", "acc20", "acc30", "trunk", "both"}
	var got []string
	for _, from := range names {
		for _, vlan := range []int{0, 20, 30, 31, 100} {
			taps[from].send(t, vlan, "test")
			got = append(got, fmt.Sprintf("%s sends %d: %s", from, vlan, strings.Join(arrivals(t, names, taps, fence), " ")))
		}
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(separated), "\n"), got); diff != "" {
		t.Error(diff)
	}
}

// arrivals returns who has received the frame that was sent, and its tag there.
// After it everybody gets a frame of the fence, in some VLAN, and then another:
// between the two, vswitchd has looked at each link.
func arrivals(t testing.TB, names []string, taps map[string]tapped, fence tapped) []string {
	t.Helper()
	arrived := map[string]string{}
	for _, round := range []string{"once", "twice"} {
		for _, vlan := range []int{0, 20, 30} {
			fence.send(t, vlan, fmt.Sprint(round, vlan))
		}
		for _, name := range names {
			for last := ""; last != fmt.Sprint(round, lastOf[name]); {
				var vlan int
				if vlan, last = taps[name].receive(t); last == "test" {
					arrived[name] = fmt.Sprintf("%s/%d", name, vlan)
				}
			}
		}
	}
	var out []string
	for _, name := range names {
		if arrived[name] != "" {
			out = append(out, arrived[name])
		}
	}
	if out == nil {
		return []string{"nobody"}
	}
	return out
}

// lastOf is the last VLAN of the fence's that a link takes part in.
var lastOf = map[string]int{"wire0": 30, "wire1": 20, "own1": 0, "own2": 0, "acc20": 20, "acc30": 30, "trunk": 20, "both": 30}

const separated = `
wire0 sends 0: own1/0 own2/0 trunk/0
wire0 sends 20: wire1/0 acc20/0 trunk/20 both/20
wire0 sends 30: acc30/0 both/0
wire0 sends 31: trunk/31
wire0 sends 100: nobody
wire1 sends 0: wire0/20 acc20/0 trunk/20 both/20
wire1 sends 20: nobody
wire1 sends 30: nobody
wire1 sends 31: nobody
wire1 sends 100: nobody
own1 sends 0: wire0/0 own2/0 trunk/0
own1 sends 20: nobody
own1 sends 30: nobody
own1 sends 31: nobody
own1 sends 100: nobody
own2 sends 0: wire0/0 own1/0 trunk/0
own2 sends 20: nobody
own2 sends 30: nobody
own2 sends 31: nobody
own2 sends 100: nobody
acc20 sends 0: wire0/20 wire1/0 trunk/20 both/20
acc20 sends 20: nobody
acc20 sends 30: nobody
acc20 sends 31: nobody
acc20 sends 100: nobody
acc30 sends 0: wire0/30 both/0
acc30 sends 20: nobody
acc30 sends 30: nobody
acc30 sends 31: nobody
acc30 sends 100: nobody
trunk sends 0: wire0/0 own1/0 own2/0
trunk sends 20: wire0/20 wire1/0 acc20/0 both/20
trunk sends 30: nobody
trunk sends 31: wire0/31
trunk sends 100: nobody
both sends 0: wire0/30 acc30/0
both sends 20: wire0/20 wire1/0 acc20/0 trunk/20
both sends 30: wire0/30 acc30/0
both sends 31: nobody
both sends 100: nobody
`
