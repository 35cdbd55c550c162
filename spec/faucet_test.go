// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

// TestFaucetOptions gives each option that is for Faucet to the four kinds of
// networks: with a controller or none, whoever writes Faucet's configuration.
func TestFaucetOptions(t *testing.T) {
	const none, off = "the network has no controller that would apply it", "faucet.mode is off"
	for _, tt := range []struct {
		option             string
		alone, aloneIfOurs string // without a controller; "": accepted
		off                string // with one, faucet.yaml being the operator's
	}{
		{"ovs.bridge.default_acl=a/lab:b,c", none, none, off},
		{"ovs.bridge.nat_acl=a", none, none, off},
		{"ovs.bridge.vlan_out_acl=lab:a", none, none, off},
		{"ovs.bridge.add_copro_ports=eth1", none, none, off},
		{"ovs.bridge.add_ports=eth1//a", "ACL of eth1: " + none, "ACL of eth1: " + none, "ACL of eth1: " + off},
		{"ovs.bridge.add_ports=eth1//a/20", "ACL of eth1: " + none, "ACL of eth1: " + none, "ACL of eth1: " + off},
		{"ovs.bridge.add_ports=eth1///20", "", "", "VLAN of eth1: " + off},
		{"ovs.bridge.add_ports=eth1/1", "", "", ""},
		{"ovs.bridge.preallocate_ports=10", "", "", ""},
		{"ovs.bridge.mac_prefix=0e:99", "", "", ""},
		{"ovs.bridge.vlan=20", "", "", ""},
	} {
		for _, kind := range []struct {
			controllers []spec.Controller
			ours        bool
			want        string
		}{
			{nil, false, tt.alone}, {nil, true, tt.aloneIfOurs}, {[]spec.Controller{"tcp:192.0.2.1"}, false, tt.off}, {[]spec.Controller{"tcp:192.0.2.1"}, true, ""},
		} {
			r := request(tt.option, "ovs.bridge.mode=nat")
			r.Controllers, r.FaucetManaged = kind.controllers, kind.ours
			_, err := spec.ParseNetwork(r)
			switch option, _, _ := strings.Cut(tt.option, "="); {
			case kind.want == "" && err == nil:
			case kind.want == "" || err == nil || !strings.HasPrefix(err.Error(), "option "+option+": ") || !strings.Contains(err.Error(), kind.want):
				t.Errorf("%s, controllers %v, ours %t: got %v, want %q", tt.option, kind.controllers, kind.ours, err, kind.want)
			}
		}
	}
}

func TestExprOptions(t *testing.T) {
	n, err := spec.ParseNetwork(managed("ovs.bridge.mode=nat", "ovs.bridge.default_acl=a,b / lab:c", "ovs.bridge.nat_acl=d,e", "ovs.bridge.vlan_out_acl=f/lab:g"))
	if err != nil || n.DefaultACL != "a,b/lab:c" || n.NATACL != "d,e" || n.VLANOutACL != "f/lab:g" {
		t.Errorf("got %+v, %v", n, err)
	}
	for _, tt := range []struct{ option, want string }{
		{"ovs.bridge.default_acl=", "option ovs.bridge.default_acl: it names no ACL"},
		{"ovs.bridge.default_acl=lab:a:b", `"lab:a:b" has more than one colon`},
		{"ovs.bridge.nat_acl=a/", `option ovs.bridge.nat_acl: "" is not the name of an ACL`},
		{"ovs.bridge.nat_acl=a", "option ovs.bridge.nat_acl: mode flat has no gateway port"},
		{"ovs.bridge.vlan_out_acl=a,b", `option ovs.bridge.vlan_out_acl: "a,b": a VLAN has one ACL of what leaves it`},
	} {
		if _, err := spec.ParseNetwork(managed(tt.option)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.option, err, tt.want)
		}
	}
	// A bad controller is not said to be missing too.
	r := request("ovs.bridge.controller=x", "ovs.bridge.default_acl=a")
	if _, err := spec.ParseNetwork(r); err == nil || strings.Contains(err.Error(), "no controller") {
		t.Errorf("got %v", err)
	}
}

// TestOldCommands parses what the old program's README and tests ask for, word by
// word.
func TestOldCommands(t *testing.T) {
	for _, command := range []string{
		"mode=nat dpid=0x1 controller=tcp:127.0.0.1:6653,tcp:127.0.0.1:6654",
		"mode=nat dpid=0x1 controller=tcp:127.0.0.1:6653,tcp:127.0.0.1:6654 preallocate_ports=10 add_ports=odsaddport1/888/denyall add_copro_ports=odsaddcoprop1/777 vlan_out_acl=allowall default_acl=denyall ovs_local_mac=0e:01:00:00:00:23",
		"mode=routed dpid=0x2 controller=tcp:127.0.0.1:6653 nat_acl=allowall userspace=true",
		"mode=flat dpid=0x1 controller=tcp:127.0.0.1:6653 vlan=100 add_ports=odstest1/1//20,odstest2/2//30,odstest3/3//40",
		"mode=nat dpid=0x1 controller=tcp:127.0.0.1:6653 mtu=9000 preallocate_ports=15 nat_acl=upn:allow/cpn:deny",
	} {
		r := managed()
		r.Internal, r.Controllers = true, nil
		for _, o := range strings.Fields(command) {
			name, value, _ := strings.Cut(o, "=")
			r.Options["ovs.bridge."+name] = value
		}
		if _, err := spec.ParseNetwork(r); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}
