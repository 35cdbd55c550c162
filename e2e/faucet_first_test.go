// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// guest is the address of the containers whose packets are counted, and guestMAC
// what it makes of theirs.
const guest, guestMAC = "172.12.0.77", "02:42:ac:0c:00:4d"

// A watched site counts what passes of the containers that have guest's address: all
// that reaches the gateway in IPv4, and all that the bridge floods, of which the first
// packets are (ARP, neighbour discovery, multicast).
type watched struct {
	*managedSite
	witness *host.Process
}

func (s *managedSite) watched() *watched {
	s.t.Helper()
	s.installPeer()
	s.machine("wit0", "172.12.0.90")
	s.createManaged("net", 12, "--ipv6", "--subnet=fd00:12::/64", "-o", "ovs.bridge.default_acl=open", "-o", "ovs.bridge.add_ports=wit0")
	s.reaches(s.container("one", "net"), "172.12.0.90")
	s.run("iptables", "-t", "raw", "-I", "PREROUTING", "-s", guest, "-j", "ACCEPT")
	w := &watched{s, must[*host.Process](s.t)(s.Start("witness", "ip", "netns", "exec", "wit0", peerPath, "watch", "eth0", guestMAC))}
	s.reaches(s.container("free", "net", "--ip="+guest), "172.12.0.1") // its rules are those of others as well
	eventually(s.t, patience, "what passes to be counted", func() error {
		routed, flooded := w.counts()
		if routed == 0 || !strings.Contains(flooded, "0806") || !strings.Contains(flooded, "86dd") {
			// What it sent of itself may have come before its port was known.
			_, _ = s.exec("free", "ping", "-c1", "-W1", "fd00:12::99")
			return fmt.Errorf("%d packets, and frames %q", routed, strings.Fields(flooded))
		}
		return nil
	})
	s.docker("rm", "-f", "free")
	return w
}

// counts returns how many packets reached the gateway, and the EtherTypes of the
// frames that were flooded, of all time.
func (w *watched) counts() (routed int, flooded string) {
	w.t.Helper()
	for _, line := range strings.Split(w.run("iptables", "-t", "raw", "-nvxL", "PREROUTING"), "\n") {
		if strings.Contains(line, guest) {
			return must[int](w.t)(strconv.Atoi(strings.Fields(line)[0])), w.witness.Logged()
		}
	}
	w.t.Fatal("the counter is gone")
	return 0, ""
}

// nothingPasses tries in every way to get a packet through before an ACL that allows
// nothing is in force, n times, on a port that had the default in between.
func (w *watched) nothingPasses(n int) {
	w.t.Helper()
	const ping = "ping -c6 -i0.02 -W1 172.12.0.1"
	label := "--label=dovesnap.faucet.portacl=other:open/nothing"
	w.docker("create", "--name=again", "--net=net", "--ip="+guest, label, "busybox", "sh", "-c", ping)
	w.docker("run", "-td", "--name=joins", "--net=none", label, "busybox")
	w.docker("network", "disconnect", "none", "joins")
	ways := []func() error{
		func() error {
			_, err := w.try("docker", "run", "--rm", on("net", "dovesnap.faucet.portacl=nothing")+",ip="+guest, "busybox", "sh", "-c", ping)
			return err
		},
		func() error {
			_, err := w.try("docker", "start", "-a", "again")
			return err
		},
		func() error {
			w.docker("network", "connect", "--ip="+guest, "net", "joins")
			_, err := w.exec("joins", "sh", "-c", ping)
			w.docker("network", "disconnect", "net", "joins")
			return err
		},
		func() error {
			_, err := w.try("docker", "run", "--rm", "--net=net", label, "--ip="+guest, "busybox", "sh", "-c", ping)
			return err
		},
	}
	routed, flooded := w.counts()
	for i := range n {
		way := min(i%10, len(ways)-1) // mostly docker run with a label
		if ways[way]() == nil {
			w.t.Fatalf("start %d: the gateway answers", i)
		}
		if now, frames := w.counts(); now != routed || frames != flooded {
			w.t.Fatalf("start %d: %d packets reached the gateway, and frames %q were flooded", i, now-routed, strings.Fields(strings.TrimPrefix(frames, flooded)))
		}
		if i%20 == 19 {
			_, _ = w.try("docker", "run", "--rm", "--net=net", "--ip="+guest, "busybox", "ping", "-c1", "-W5", "172.12.0.1")
			was := flooded
			eventually(w.t, patience, "another's packets to be counted", func() error {
				if routed, flooded = w.counts(); flooded == was {
					return fmt.Errorf("nothing was, after %d", routed)
				}
				return nil
			})
		}
	}
}

// No packet of a container passes under a laxer ACL than its own, a hundred starts
// in a row.
func TestNothingPassesBeforeItsACL(t *testing.T) {
	for i, mode := range []string{"file", "rpc, watch"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			newHost(t, host.Suites[i]).managed(mode, operatorYAML).watched().nothingPasses([]int{100, 40}[i])
		})
	}
}
