// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"testing"

	"dovesnap/spec"
)

func TestNearest(t *testing.T) {
	candidates := []string{"level", "format", "mode"}
	for _, tt := range []struct{ in, want string }{
		{"levle", "level"}, {"formt", "format"}, {"mod", "mode"}, {"mode", "mode"}, {"", "mode"},
	} {
		if got := spec.Nearest(tt.in, candidates); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	options := []string{"ovs.bridge.mode", "ovs.bridge.vlan", "ovs.bridge.mac_prefix", "ovs.bridge.default_acl"}
	for _, tt := range []struct{ in, want string }{
		{"ovs.bridge.vlam", "ovs.bridge.vlan"}, {"ovs.brigde.vlan", "ovs.bridge.vlan"}, {"vlan", "ovs.bridge.vlan"}, {"ovs.bridge.mac", "ovs.bridge.mac_prefix"},
		{"ovs.bridge.acl", "ovs.bridge.default_acl"}, {"ovs.bridge.foo", ""}, {"ovs.bridge.", ""}, {"", ""},
	} {
		if got := spec.Near(tt.in, options); got != tt.want {
			t.Errorf("Near(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := spec.Nearest("x", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}
