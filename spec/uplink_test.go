// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"reflect"
	"strings"
	"testing"

	"dovesnap/spec"
)

// managed is a network that a Faucet which dovesnap configures controls.
func managed(options ...string) spec.Request {
	r := request(options...)
	r.Controllers, r.FaucetManaged = []spec.Controller{"tcp:127.0.0.1:6653"}, true
	return r
}

func TestUplinks(t *testing.T) {
	for _, tt := range []struct {
		options []string
		want    []spec.Uplink
	}{
		{[]string{"add_ports=eth1"}, []spec.Uplink{{Name: "eth1", OFPort: 1}}},
		{[]string{"add_ports=eth1/1, eth2/65279,eth3/,eth4///"},
			[]spec.Uplink{{Name: "eth1", OFPort: 1}, {Name: "eth2", OFPort: 65279}, {Name: "eth3", OFPort: 2}, {Name: "eth4", OFPort: 3}}},
		// The old program dropped this ACL without a word.
		{[]string{"add_ports=eth1//office"}, []spec.Uplink{{Name: "eth1", OFPort: 1, ACL: "office"}}},
		{[]string{"add_ports=eth1/888/denyall"}, []spec.Uplink{{Name: "eth1", OFPort: 888, ACL: "denyall"}}},
		{[]string{"add_ports=eth1///20"}, []spec.Uplink{{Name: "eth1", OFPort: 1, VLAN: 20}}},
		{[]string{"add_ports=eth1/7/lab:office/4094"}, []spec.Uplink{{Name: "eth1", OFPort: 7, ACL: "lab:office", VLAN: 4094}}},
		// From its README.
		{[]string{"add_ports=eth0/8//20,eth1/9//30,eth2/10/myacl/40"},
			[]spec.Uplink{{Name: "eth0", OFPort: 8, VLAN: 20}, {Name: "eth1", OFPort: 9, VLAN: 30}, {Name: "eth2", OFPort: 10, ACL: "myacl", VLAN: 40}}},
		{[]string{"add_copro_ports=eth1"}, []spec.Uplink{{Name: "eth1", OFPort: 1, Coprocessor: true}}},
		{[]string{"add_copro_ports=eth1/777,eth2/"}, []spec.Uplink{{Name: "eth1", OFPort: 777, Coprocessor: true}, {Name: "eth2", OFPort: 1, Coprocessor: true}}},
		{[]string{"add_copro_ports=eth1,eth2/2", "add_ports=eth3,eth4/1"},
			[]spec.Uplink{{Name: "eth3", OFPort: 3}, {Name: "eth4", OFPort: 1}, {Name: "eth1", OFPort: 4, Coprocessor: true}, {Name: "eth2", OFPort: 2, Coprocessor: true}}},
	} {
		for i := range tt.options {
			tt.options[i] = "ovs.bridge." + tt.options[i]
		}
		n, err := spec.ParseNetwork(managed(tt.options...))
		if err != nil || !reflect.DeepEqual(n.Uplinks, tt.want) {
			t.Errorf("%v: got %+v, %v\nwant %+v", tt.options, n.Uplinks, err, tt.want)
		}
	}
}

func TestBadUplinks(t *testing.T) {
	const ports, copro = "option ovs.bridge.add_ports: ", "option ovs.bridge.add_copro_ports: "
	for _, tt := range []struct{ add, addCopro, want string }{
		{"", "-", ports + `"" is not an interface name`},
		{"eth1,", "-", ports + `"" is not an interface name`},
		{"/1", "-", ports + `"" is not an interface name`},
		{"a234567890123456", "-", `is not an interface name`},
		{"docker0", "-", ports + `"docker0" is reserved`},
		{"eth1/0", "-", ports + `port of eth1: "0" is not an OpenFlow port number: 1 to 65279`},
		{"eth1/65280", "-", `"65280" is not an OpenFlow port number`},
		{"eth1/4294967297", "-", `"4294967297" is not an OpenFlow port number`},
		{"eth1/acl", "-", `port of eth1: "acl" is not an OpenFlow port number`},
		{"eth1//a b", "-", ports + `ACL of eth1: "a b" is not the name of an ACL`},
		{"eth1//lab:a:b", "-", ports + `ACL of eth1: "lab:a:b" has more than one colon`},
		{"eth1///0", "-", ports + `VLAN of eth1: "0" is not a number from 1 to 4094`},
		{"eth1///4095", "-", `VLAN of eth1: "4095" is not a number from 1 to 4094`},
		{"eth1/1/2/3/4", "-", ports + `"eth1/1/2/3/4" has more than NIC/OFPORT/ACL/VLAN`},
		{"dsb0123456789ab", "-", ports + `dsb0123456789ab is the bridge itself`},
		{"-", "dsb0123456789ab", copro + `dsb0123456789ab is the bridge itself`},
		{"eth1,eth1/2", "-", ports + `eth1 is listed twice`},
		{"eth1/2,eth2/2", "-", ports + `eth2 and eth1 both ask for OpenFlow port 2`},
		{"-", "", copro + `"" is not an interface name`},
		{"-", "eth1/0", copro + `port of eth1: "0" is not an OpenFlow port number`},
		{"-", "eth1/1/acl", copro + `"eth1/1/acl" has more than NIC/OFPORT`},
		{"-", "eth1,eth1", copro + `eth1 is listed twice`},
		{"-", "eth1/2,eth2/2", copro + `eth2 and eth1 both ask for OpenFlow port 2`},
		{"eth1", "eth1", copro + `eth1 is in ovs.bridge.add_ports too`},
		{"eth1/2", "eth2/2", copro + `eth2 and eth1 of ovs.bridge.add_ports both ask for OpenFlow port 2`},
	} {
		r := managed()
		for name, value := range map[string]string{"ovs.bridge.add_ports": tt.add, "ovs.bridge.add_copro_ports": tt.addCopro} {
			if value != "-" { // not given
				r.Options[name] = value
			}
		}
		_, err := spec.ParseNetwork(r)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %q: got  %v\nwant %s", tt.add, tt.addCopro, err, tt.want)
		}
	}
}
