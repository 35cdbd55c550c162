// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestLabels(t *testing.T) {
	for _, tt := range []struct {
		name   string
		labels map[string]string
		want   spec.Labels
		err    string // "": none
	}{
		{"none", nil, spec.Labels{}, ""},
		{"those of others", map[string]string{"com.docker.compose.project": "x", "portacl": "y", "dovesnap": "z"}, spec.Labels{}, ""},
		{"the old program's own", map[string]string{"dovesnap.namespace": "primary"}, spec.Labels{}, ""},
		{"ACL", map[string]string{"dovesnap.faucet.portacl": "testnet:ratelimitit"}, spec.Labels{ACL: "testnet:ratelimitit"}, ""},
		{"ACLs", map[string]string{"dovesnap.faucet.portacl": " a,b/lab:c "}, spec.Labels{ACL: "a,b/lab:c"}, ""},
		{"MAC prefix", map[string]string{"dovesnap.faucet.mac_prefix": "0E99"}, spec.Labels{MACPrefix: "0e:99"}, ""},
		{"both", map[string]string{"dovesnap.faucet.portacl": "a", "dovesnap.faucet.mac_prefix": "0e:99"}, spec.Labels{ACL: "a", MACPrefix: "0e:99"}, ""},
		{"without a value", map[string]string{"dovesnap.faucet.portacl": "", "dovesnap.faucet.mac_prefix": " ", "dovesnap.faucet.mirror": ""}, spec.Labels{}, ""},
		{"bad ACL", map[string]string{"dovesnap.faucet.portacl": "lab:a:b", "dovesnap.faucet.mac_prefix": "0e"}, spec.Labels{MACPrefix: "0e", Unclear: true},
			`label dovesnap.faucet.portacl: "lab:a:b" has more than one colon`},
		{"bad MAC prefix", map[string]string{"dovesnap.faucet.portacl": "a", "dovesnap.faucet.mac_prefix": "x"}, spec.Labels{ACL: "a"},
			`label dovesnap.faucet.mac_prefix: "x" is not the beginning of a MAC address`},
		{"mirror", map[string]string{"dovesnap.faucet.portacl": "a", "dovesnap.faucet.mirror": "true"}, spec.Labels{ACL: "a"}, "label dovesnap.faucet.mirror is not available yet"},
		{"slip", map[string]string{"dovesnap.faucet.portalc": "a"}, spec.Labels{Unclear: true}, "unknown label dovesnap.faucet.portalc; did you mean dovesnap.faucet.portacl?"},
		{"other capitals", map[string]string{"Dovesnap.Faucet.portacl": "a"}, spec.Labels{Unclear: true}, "unknown label Dovesnap.Faucet.portacl; did you mean dovesnap.faucet.portacl?"},
		{"half of it", map[string]string{"faucet.portacl": "a"}, spec.Labels{Unclear: true}, "did you mean dovesnap.faucet.portacl?"},
		{"a network's option", map[string]string{"ovs.bridge.default_acl": "a"}, spec.Labels{Unclear: true}, "unknown label ovs.bridge.default_acl; did you mean dovesnap.faucet.portacl?"},
		{"slip without a value", map[string]string{"dovesnap.faucet.portalc": ""}, spec.Labels{Unclear: true}, "unknown label dovesnap.faucet.portalc; did you mean dovesnap.faucet.portacl?"},
		{"slip in the prefix", map[string]string{"dovesnap.facuet.portacl": "a"}, spec.Labels{Unclear: true}, "did you mean dovesnap.faucet.portacl?"},
		{"an ACL by another name", map[string]string{"ovs.port.acl": "a"}, spec.Labels{Unclear: true}, "unknown label ovs.port.acl; did you mean dovesnap.faucet.portacl?"},
		{"slip of another", map[string]string{"dovesnap.faucet.macprefix": "0e"}, spec.Labels{}, "unknown label dovesnap.faucet.macprefix; did you mean dovesnap.faucet.mac_prefix?"},
		{"a driver-opt", map[string]string{"ovs.port.vlan": "20"}, spec.Labels{}, "label ovs.port.vlan: it is a driver-opt: --network name=NETWORK,driver-opt=ovs.port.vlan=VALUE"},
		{"a driver-opt without a value", map[string]string{"ovs.port.vlan": ""}, spec.Labels{}, "label ovs.port.vlan: it is a driver-opt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := spec.ParseLabels(tt.labels)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

// Everything that is wrong is named, in the same order each time.
func TestLabelErrorsAreOneLine(t *testing.T) {
	labels := map[string]string{"dovesnap.faucet.portacl": ":", "dovesnap.faucet.mac_prefix": "x", "dovesnap.faucet.mirror": "1", "dovesnap.x": "1", "ovs.port.x": "1"}
	_, first := spec.ParseLabels(labels)
	if first == nil {
		t.Fatal("accepted")
	}
	if got := strings.Count(first.Error(), "; ") - strings.Count(first.Error(), "; did"); got != 4 || strings.Contains(first.Error(), "\n") {
		t.Errorf("%d separators in: %v", got, first)
	}
	for range 20 {
		if _, again := spec.ParseLabels(labels); again.Error() != first.Error() {
			t.Fatalf("got %v, then %v", first, again)
		}
	}
}
