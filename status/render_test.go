// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"dovesnap/status"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example has every field set and nothing wrong.
func example() status.Status {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return status.Status{
		Version: "1.2.3", PID: 4242, Since: began, Time: began.Add(26*time.Hour + 5*time.Minute),
		OVS: status.OVS{
			Mode: "managed", Datapath: "system", Ready: true,
			Children: []status.Child{
				{Name: "ovsdb-server", PID: 4250, State: "ready", Since: began.Add(time.Second)},
				{Name: "ovs-vswitchd", PID: 4711, State: "ready", Since: began.Add(26 * time.Hour), Restarts: 1, LastError: "killed by signal 9"},
			},
		},
		Docker: status.Docker{Connected: true},
		Faucet: status.Faucet{Mode: "file", Delivered: true, Confirmed: true},
		Networks: []status.Network{
			{
				ID: strings.Repeat("0123456789abcdef", 4), Name: "mynet", Bridge: "dsb0123456789ab", Mode: "nat", DPID: "0x1", Datapath: "system",
				Subnets: []string{"172.12.0.0/24"}, Gateways: []string{"172.12.0.1"}, MTU: 1500, VLAN: 100, Uplinks: []string{"eth1"}, Problems: []string{},
				Controllers: []status.Controller{{Target: "tcp:127.0.0.1:6653", Connected: true, Role: "other"}},
				Endpoints: []status.Endpoint{
					{ID: strings.Repeat("fedcba9876543210", 4), Container: "web", MAC: "02:42:ac:0c:00:08", Addresses: []string{"172.12.0.8/24"}, OFPort: 1, Link: "dsvfedcba987654", VLAN: 100, ACLs: []string{"office", "log"},
						Ports: []status.Port{{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 8080, IP: "172.12.0.8", Port: 80}}, Problems: []string{}},
					{ID: strings.Repeat("abcdef9876543210", 4), Container: "db", MAC: "02:42:ac:0c:00:09", Addresses: []string{"172.12.0.9/24", "fd00::9/64"}, OFPort: 2, Link: "dsvabcdef987654", VLAN: 30, ACLs: []string{},
						Ports: []status.Port{{Proto: "udp", HostIP: "::", HostPort: 53, IP: "fd00::9", Port: 5353}}, Problems: []string{}},
				},
			},
			{
				ID: strings.Repeat("fedc", 16), Bridge: "lan", Mode: "flat", DPID: "0xd500fedcfedcfedc", Datapath: "netdev", Subnets: []string{}, Gateways: []string{},
				Controllers: []status.Controller{}, Uplinks: []string{}, Endpoints: []status.Endpoint{}, Problems: []string{},
			},
		},
		Problems: []string{},
		Changed:  []status.Setting{{Key: "net.ipv4.ip_forward", Was: "0", Is: "1", Why: "the host is the gateway of a network"}},
	}
}

// ill is the same with everything wrong that can be.
func ill() status.Status {
	s := example()
	s.Problems = []string{"packet filter: cannot write rules: iptables is locked"}
	s.OVS.Ready, s.OVS.LastError = false, "cannot reach OVSDB"
	s.OVS.Children[1].State, s.OVS.Children[1].PID, s.OVS.Children[1].LastError = "backoff", 0, "exit status 1:\nno memory"
	s.Docker = status.Docker{LastError: "connection refused"}
	s.Faucet = status.Faucet{Mode: "rpc", Delivered: true, LastError: "connection refused"}
	n := &s.Networks[0]
	n.Endpoints[0].Held = true
	n.Name = "" // Docker has not told it
	n.Problems = []string{"bridge \"dsb0123456789ab\" is missing"}
	n.Controllers = []status.Controller{{Target: "tcp:127.0.0.1:6653", LastError: "Connection refused"}, {Target: "ptcp:6654"}, {Target: "ssl:192.0.2.1"}}
	n.Endpoints[1].Problems = []string{"no OpenFlow port"}
	n.Endpoints[1].Container = ""
	n.Endpoints[1].OFPort = 0
	refused := n.Endpoints[0]
	refused.Container, refused.OFPort, refused.Ports, refused.Problems = "typo", 3, nil, []string{`faucet.yaml has no ACL "offcie": it defines office`}
	n.Endpoints = append(n.Endpoints, refused)
	return s
}

func crowd() status.Status {
	s := example()
	e := s.Networks[0].Endpoints[0]
	s.Networks[0].Endpoints = nil
	for i := range 300 {
		e.Container, e.OFPort = fmt.Sprint("c", i+1), i+1
		s.Networks[0].Endpoints = append(s.Networks[0].Endpoints, e)
	}
	for i := 280; i < 300; i++ {
		s.Networks[0].Endpoints[i].Problems = []string{"its link is gone"}
	}
	s.Networks[0].Endpoints[299].Problems = nil
	return s
}

func TestRender(t *testing.T) {
	empty := status.Status{Version: "1.2.3", PID: 1, OVS: status.OVS{Ready: true}, Docker: status.Docker{Connected: true}}
	for name, s := range map[string]status.Status{"well": example(), "ill": ill(), "crowd": crowd(), "empty": empty} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := status.Render(&b, s); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/"+name+".txt", b.Bytes())
			if lines := strings.Count(b.String(), "\n"); lines > 40 {
				t.Errorf("%d lines are more than a screen", lines)
			}
		})
	}
}

// The tables of dovesnap ports and dovesnap doctor.
func TestRenderOthers(t *testing.T) {
	empty := status.Status{OVS: status.OVS{Ready: true}, Docker: status.Docker{Connected: true}}
	for name, render := range map[string]func(io.Writer, status.Status) error{"ports": status.RenderPorts, "doctor": status.RenderDoctor} {
		for kind, s := range map[string]status.Status{"": ill(), "-empty": empty} {
			var b bytes.Buffer
			if err := render(&b, s); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/"+name+kind+".txt", b.Bytes())
		}
	}
}

// TestWireForm fails when what scripts read changes.
func TestWireForm(t *testing.T) {
	got, err := json.MarshalIndent(example(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/status.json", append(got, '\n'))
	var back status.Status
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, example()) {
		t.Errorf("read back: %v, %s", err, cmp.Diff(example(), back))
	}
}

func TestTrouble(t *testing.T) {
	if got := example().Trouble(); len(got) != 0 {
		t.Errorf("of a healthy one: %q", got)
	}
	want := []string{
		"packet filter: cannot write rules: iptables is locked",
		"Open vSwitch is not ready: cannot reach OVSDB",
		"ovs-vswitchd is in state backoff: exit status 1: no memory",
		"Docker's API does not answer: connection refused",
		`network "0123456789ab": bridge "dsb0123456789ab" is missing`,
		`network "0123456789ab": not connected to controller tcp:127.0.0.1:6653: Connection refused`,
		`network "0123456789ab": not connected to controller ssl:192.0.2.1`,
		`network "0123456789ab", container "abcdef987654": no OpenFlow port`,
		`network "0123456789ab", container "typo": faucet.yaml has no ACL "offcie": it defines office`,
	}
	if diff := cmp.Diff(want, ill().Trouble()); diff != "" {
		t.Error(diff)
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (go test ./status -update writes it anew): %s", file, diff)
	}
}
