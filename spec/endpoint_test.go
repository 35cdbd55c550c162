// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestParseEndpoint(t *testing.T) {
	base := spec.EndpointRequest{ID: endpointID, Network: netID, Address: "172.12.0.8/24"}
	want := spec.Endpoint{ID: endpointID, Network: netID, Addresses: []netip.Prefix{netip.MustParsePrefix("172.12.0.8/24")}}
	for _, tt := range []struct {
		name string
		give func(*spec.EndpointRequest)
		want func(*spec.Endpoint)
	}{
		{"plain", func(r *spec.EndpointRequest) {}, func(e *spec.Endpoint) {}},
		{"both families", func(r *spec.EndpointRequest) { r.AddressIPv6 = "fd00::8/64" }, func(e *spec.Endpoint) {
			e.Addresses = append(e.Addresses, netip.MustParsePrefix("fd00::8/64"))
		}},
		{"own MAC", func(r *spec.EndpointRequest) { r.MAC = "0E:00:00:00:00:01" }, func(e *spec.Endpoint) { e.MAC = "0e:00:00:00:00:01" }},
		{"no address", func(r *spec.EndpointRequest) { r.Address = "" }, func(e *spec.Endpoint) {
			e.Addresses = nil
		}},
		{"interface name", func(r *spec.EndpointRequest) {
			r.Options = map[string]any{"com.docker.network.endpoint.ifname": "lan0"}
		}, func(e *spec.Endpoint) { e.IfName = "lan0" }},
		{"all driver-opts", func(r *spec.EndpointRequest) {
			r.Options = map[string]any{
				"dovesnap.faucet.portacl": "a,b / lab:c", "dovesnap.faucet.mac_prefix": "0E99", "ovs.port.vlan": " 20 ", "ovs.port.trunks": "40,30-31",
				"ovs.port.ofport": "65279", "ovs.port.rate_in": "10m", "ovs.port.rate_out": "1.5M",
			}
		}, func(e *spec.Endpoint) {
			e.ACL, e.MACPrefix, e.VLAN, e.Trunks, e.OFPort, e.RateIn, e.RateOut = "a,b/lab:c", "0e:99", 20, []int{30, 31, 40}, 65279, 10e6, 1.5e6
		}},
		{"MAC that begins with the prefix", func(r *spec.EndpointRequest) { // as Docker tells of one that is restored
			r.MAC, r.Options = "0e:99:ac:0c:00:08", map[string]any{"dovesnap.faucet.mac_prefix": "0e:99"}
		}, func(e *spec.Endpoint) { e.MAC, e.MACPrefix = "0e:99:ac:0c:00:08", "0e:99" }},
		{"Docker's own", func(r *spec.EndpointRequest) {
			r.Options = map[string]any{"com.docker.network.endpoint.exposedports": []any{}, "com.docker.network.portmap": []any{}, "com.docker.network.of.tomorrow": 1.0}
		}, func(e *spec.Endpoint) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, w := base, want
			tt.give(&r)
			tt.want(&w)
			got, err := spec.ParseEndpoint(r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, w) {
				t.Errorf("got  %+v\nwant %+v", got, w)
			}
		})
	}
}

func TestParseEndpointRefusals(t *testing.T) {
	var portmap any // as Docker 20.10 to 29 send it
	if err := json.Unmarshal([]byte(`[{"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8080},{"Proto":47,"Port":53,"HostPort":0}]`), &portmap); err != nil {
		t.Fatal(err)
	}
	_, err := spec.ParseEndpoint(spec.EndpointRequest{
		ID: endpointID, Network: netID, Address: "172.12.0.8", MAC: "x",
		Options: map[string]any{
			"com.docker.network.portmap":         portmap,
			"com.docker.network.endpoint.ifname": "a/b",
			"ovs.port.ofprt":                     "5",
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`address "172.12.0.8" is not an address and length`, `"x" is not a MAC address`,
		"cannot read published port 53: protocol 47 is not tcp, udp or sctp", `driver-opt com.docker.network.endpoint.ifname: "a/b" is not an interface name`,
		"unknown driver-opt ovs.port.ofprt; did you mean ovs.port.ofport?",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestBadDriverOpts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"dovesnap.faucet.portacl", "", "driver-opt dovesnap.faucet.portacl: it names no ACL; leave it out to ask for none"},
		{"dovesnap.faucet.portacl", "lab:a:b", `driver-opt dovesnap.faucet.portacl: "lab:a:b" has more than one colon`},
		{"dovesnap.faucet.mac_prefix", "", `driver-opt dovesnap.faucet.mac_prefix: "" is not the beginning`},
		{"dovesnap.faucet.mac_prefix", "0e:01", "driver-opt dovesnap.faucet.mac_prefix: the MAC address 0e:99:00:00:00:01, which is given too, does not begin with 0e:01"},
		{"dovesnap.faucet.mirror", "true", "driver-opt dovesnap.faucet.mirror is not available yet"},
		{"dovesnap.faucet.portalc", "a", "unknown driver-opt dovesnap.faucet.portalc; did you mean dovesnap.faucet.portacl?"},
		{"dovesnap.facuet.portacl", "a", "unknown driver-opt dovesnap.facuet.portacl; did you mean dovesnap.faucet.portacl?"},
		{"portacl", "a", "unknown driver-opt portacl; did you mean dovesnap.faucet.portacl?"},
		{"ovs.port.acl", "a", "unknown driver-opt ovs.port.acl; did you mean dovesnap.faucet.portacl?"},
		{"ovs.prot.vlan", "20", "unknown driver-opt ovs.prot.vlan; did you mean ovs.port.vlan?"},
		{"ovs.bridge.vlan", "20", "unknown driver-opt ovs.bridge.vlan; did you mean ovs.port.vlan?"},
		{"ovs.port.mtu", "20", "unknown driver-opt ovs.port.mtu"},
		{"ovs.port.vlan", "", `driver-opt ovs.port.vlan: "" is not a number from 1 to 4094`},
		{"ovs.port.vlan", "0", `"0" is not a number from 1 to 4094`},
		{"ovs.port.vlan", "4095", `"4095" is not a number`},
		{"ovs.port.vlan", 20.0, "driver-opt ovs.port.vlan: its value is not a string"},
		{"ovs.port.vlan", nil, "driver-opt ovs.port.vlan: its value is not a string"},
		{"ovs.port.ofport", "0", `driver-opt ovs.port.ofport: "0" is not an OpenFlow port number: 1 to 65279`},
		{"ovs.port.ofport", "65280", `"65280" is not an OpenFlow port number`},
		{"ovs.port.trunks", "10,10", "driver-opt ovs.port.trunks: VLAN 10 is listed twice"},
		{"ovs.port.rate_in", "10Mbit", `driver-opt ovs.port.rate_in: "10Mbit" is not a rate`},
		{"ovs.port.rate_out", "1", `driver-opt ovs.port.rate_out: "1" is not a rate`},
		{"com.docker.network.endpoint.ifname", 7.0, "driver-opt com.docker.network.endpoint.ifname: its value is not a string"},
	} {
		r := spec.EndpointRequest{ID: endpointID, Network: netID, Address: "172.12.0.8/24", MAC: "0e:99:00:00:00:01", Options: map[string]any{tt.name: tt.value}}
		_, err := spec.ParseEndpoint(r)
		if err == nil || !strings.Contains(err.Error(), tt.want) || (strings.Contains(err.Error(), "did you mean") && !strings.Contains(tt.want, "did you mean")) {
			t.Errorf("%s=%v: got %v, want %s", tt.name, tt.value, err, tt.want)
		}
	}
}
