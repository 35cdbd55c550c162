// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestRoutedModesNeedAGateway(t *testing.T) {
	for _, mode := range []string{"nat", "routed"} {
		r := request("ovs.bridge.mode=" + mode)
		r.Subnets = []spec.Subnet{{Pool: netip.MustParsePrefix("10.0.0.0/24")}}
		if _, err := spec.ParseNetwork(r); err == nil || !strings.Contains(err.Error(), "mode "+mode+" needs a subnet with a gateway") {
			t.Errorf("got %v", err)
		}
		r.Subnets = []spec.Subnet{subnet("fd00::/64", "fd00::1/64")}
		if _, err := spec.ParseNetwork(r); err != nil {
			t.Errorf("IPv6 only: %v", err)
		}
	}
	r := request("ovs.bridge.mode=flat")
	r.Subnets = nil
	if _, err := spec.ParseNetwork(r); err != nil {
		t.Errorf("flat without a subnet: %v", err)
	}
}

func TestDefaultControllers(t *testing.T) {
	r := request()
	r.Controllers = []spec.Controller{"tcp:192.0.2.1"}
	n, err := spec.ParseNetwork(r)
	if err != nil || !reflect.DeepEqual(n.Controllers, r.Controllers) {
		t.Errorf("the daemon's default: got %v, %v", n.Controllers, err)
	}
	r.Options["ovs.bridge.controller"] = "tcp:192.0.2.2"
	n, err = spec.ParseNetwork(r)
	if want := []spec.Controller{"tcp:192.0.2.2"}; err != nil || !reflect.DeepEqual(n.Controllers, want) {
		t.Errorf("the network's own: got %v, %v", n.Controllers, err)
	}
}
