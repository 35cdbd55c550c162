// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"strings"
	"testing"

	"dovesnap/spec"
)

func TestGoodControllers(t *testing.T) {
	for _, s := range []string{
		"tcp:127.0.0.1", "tcp:127.0.0.1:6653", "tcp:127.0.0.1:1", "tcp:127.0.0.1:65535",
		"tcp:[::1]", "tcp:[fd00::1]:6653", "ssl:10.0.0.1:6653", "ssl:[fe80::1%eth0]:6653",
		"tcp:faucet", "tcp:faucet.example.org:6653", "tcp:10-0-0-1.example",
		"unix:/run/faucet.sock",
		"ptcp:", "ptcp:6653", "ptcp:6653:127.0.0.1", "ptcp:6653:[::1]", "ptcp::127.0.0.1", "pssl:6653",
	} {
		got, err := spec.ParseControllers(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if len(got) != 1 || string(got[0]) != s {
			t.Errorf("%s: got %v", s, got)
		}
	}
}

func TestBadControllers(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", `no ":"`},
		{"tcp", `no ":"`},
		{"udp:127.0.0.1", `unknown method "udp"`},
		{"TCP:127.0.0.1", `unknown method "TCP"`},
		{"tcp:", `"" is not an address`},
		{"tcp::6653", `"" is not an address`},
		{"tcp:127.0.0.1:", `no port after ":"`},
		{"tcp:127.0.0.1:0", `"0" is not a port`},
		{"tcp:127.0.0.1:65536", `"65536" is not a port`},
		{"tcp:127.0.0.1:http", `"http" is not a port`},
		{"tcp:127.0.0.256", `"127.0.0.256" is not an address`},
		{"tcp:127.0.0", `"127.0.0" is not an address`},
		{"tcp://127.0.0.1", `is not an address`},
		{"tcp:fd00::1", `needs brackets`},
		{"tcp:[fd00::1", `no closing bracket`},
		{"tcp:[127.0.0.1]", `is not an IPv6 address`},
		{"tcp:[fd00::1]6653", `"6653" after the address`},
		{"tcp:[fd00::1]:", `no port after ":"`},
		{"tcp:a_b", `"a_b" is not an address`},
		{"unix:faucet.sock", `is not an absolute path`},
		{"unix:/a b", `is not an absolute path`},
		{"unix:/a\nb", `is not an absolute path`},
		{"ptcp:0", `"0" is not a port`},
		{"ptcp:6653:", `"" is not an address`},
		{"ptcp:6653:fd00::1", `needs brackets`},
		{"ptcp:6653:[127.0.0.1]", `needs brackets`},
		{"ptcp:6653:[::1", `needs brackets`},
		{"tcp:10.0.0.1,", `"" is not a controller`},
		{"tcp:10.0.0.1,tcp:10.0.0.2,tcp:10.0.0.1", `"tcp:10.0.0.1" is listed twice`},
	} {
		_, err := spec.ParseControllers(tt.in)
		if err == nil {
			t.Errorf("%q: accepted", tt.in)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s", tt.in, err, tt.want)
		}
	}
}
