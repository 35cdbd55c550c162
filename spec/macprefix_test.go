// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestMACPrefix(t *testing.T) {
	for _, tt := range []struct{ in, want, on string }{
		{"0e", "0e", "0e:42:ac:0c:00:08"},
		{"0e:99", "0e:99", "0e:99:ac:0c:00:08"},
		{"0E99", "0e:99", "0e:99:ac:0c:00:08"},
		{"0e:99:01:02:03", "0e:99:01:02:03", "0e:99:01:02:03:08"},
		{"0e99010203", "0e:99:01:02:03", "0e:99:01:02:03:08"},
		{"00:00", "00:00", "00:00:ac:0c:00:08"},
	} {
		p, err := spec.ParseMACPrefix(tt.in)
		if got := p.On("02:42:ac:0c:00:08"); err != nil || string(p) != tt.want || string(got) != tt.on {
			t.Errorf("%q: got %q, %q, %v", tt.in, p, got, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", `"" is not the beginning of a MAC address: one to five bytes such as 0e:99`},
		{"0", "is not the beginning"}, {"0e:9", "is not the beginning"}, {"0:e9", "is not the beginning"}, {":0e", "is not the beginning"}, {"0e:", "is not the beginning"},
		{"0e::99", "is not the beginning"}, {"0e-99", "is not the beginning"}, {"0e 99", "is not the beginning"}, {"0g", "is not the beginning"}, {"+e", "is not the beginning"},
		{"é", "is not the beginning"}, {"0e:99:01:02:03:04", "is not the beginning"}, {"0e9901020304", "is not the beginning"},
		{"01", `"01" begins a multicast address; an even first byte such as 0e does not`}, {"ff:ff", "begins a multicast address"},
		{"00:00:00", "may make a MAC address of nothing but zeros"}, {"00:00:00:00:00", "nothing but zeros"},
	} {
		if p, err := spec.ParseMACPrefix(tt.in); err == nil || p != "" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %q, %v, want %s", tt.in, p, err, tt.want)
		}
	}
	if got := spec.MACPrefix("0e:99").On(""); got != "" {
		t.Errorf("of no address: %q", got)
	}
	if got := spec.MACPrefix("").On("02:42:ac:0c:00:08"); got != "02:42:ac:0c:00:08" {
		t.Errorf("without a prefix: %q", got)
	}
}
