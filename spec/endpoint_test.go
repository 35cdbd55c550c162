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
	want := spec.Endpoint{ID: endpointID, Network: netID, MAC: "02:42:ac:0c:00:08", Addresses: []netip.Prefix{netip.MustParsePrefix("172.12.0.8/24")}}
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
			e.Addresses, e.MAC = nil, spec.EndpointMAC(endpointID, nil, "")
		}},
		{"interface name", func(r *spec.EndpointRequest) {
			r.Options = map[string]any{"com.docker.network.endpoint.ifname": "lan0"}
		}, func(e *spec.Endpoint) { e.IfName = "lan0" }},
		{"Docker's own", func(r *spec.EndpointRequest) {
			r.Options = map[string]any{"com.docker.network.endpoint.exposedports": []any{}, "com.docker.network.portmap": []any{}}
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
	if err := json.Unmarshal([]byte(`[{"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8080},{"Proto":17,"Port":53,"HostPort":0}]`), &portmap); err != nil {
		t.Fatal(err)
	}
	_, err := spec.ParseEndpoint(spec.EndpointRequest{
		ID: endpointID, Network: netID, Address: "172.12.0.8", MAC: "x",
		Options: map[string]any{
			"com.docker.network.portmap":         portmap,
			"com.docker.network.endpoint.ifname": 7.0,
			"ovs.port.vlan":                      "5",
			"ovs.port.ofprt":                     "5",
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`address "172.12.0.8" is not an address and length`, `"x" is not a MAC address`,
		"publishing ports (-p) is not available yet", "container port 80, 53;", `"" is not an interface name`,
		"driver-opt ovs.port.vlan is not available yet", "unknown driver-opt ovs.port.ofprt; did you mean ovs.port.ofport?",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}
