// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"testing"

	"dovesnap/spec"
)

func TestDPIDForms(t *testing.T) {
	d, err := spec.ParseDPID("0x1")
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != "0x1" || d.Hex16() != "0000000000000001" {
		t.Errorf("got %s and %s", d.String(), d.Hex16())
	}
	for _, s := range []string{"0x1", "0xd5000123456789ab", "0xffffffffffffffff"} {
		d, err := spec.ParseDPID(s)
		if err != nil || d.String() != s {
			t.Errorf("%s: got %s, %v", s, d, err)
		}
	}
}

func TestMAC(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want spec.MAC
	}{
		{"0E:00:00:00:00:0A", "0e:00:00:00:00:0a"},
		{"0e-00-00-00-00-0a", "0e:00:00:00:00:0a"},
		{"0e00.0000.000a", "0e:00:00:00:00:0a"},
		{"", ""}, {"0e:00", ""}, {"ff:ff:ff:ff:ff:ff", ""}, {"00:00:00:00:00:00", ""}, {"01:00:00:00:00:00", ""},
	} {
		got, err := spec.ParseMAC(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v", tt.in, got, err)
		}
	}
}

func TestLinkNameBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"e", true}, {"eth0.100", true}, {"br_a-b", true}, {"0a", true}, {"a23456789012345", true},
		{"", false}, {"a234567890123456", false}, {".", false}, {"-a", false}, {"a+", false}, {"a*", false},
		{"a b", false}, {"a:b", false}, {"a/b", false}, {"a\n", false}, {"é", false},
		{"lo", false}, {"all", false}, {"default", false}, {"docker_gwbridge", false}, {"ovs-system", false}, {"ovs-netdev", false},
	} {
		if err := spec.CheckLinkName(tt.name); (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.name, err)
		}
	}
}
