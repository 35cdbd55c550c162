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

func TestParsePortMaps(t *testing.T) {
	at := netip.MustParseAddr
	for name, c := range map[string]struct {
		json string
		want []spec.PortMap
	}{
		"none":  {`[]`, nil},
		"fixed": {`[{"Proto":6,"IP":"","Port":80,"HostIP":"127.0.0.1","HostPort":8080,"HostPortEnd":8080}]`, []spec.PortMap{{spec.TCP, at("127.0.0.1"), 8080, 8080, 80}}},
		"any":   {`[{"Proto":17,"IP":"","Port":53,"HostIP":"","HostPort":0,"HostPortEnd":0}]`, []spec.PortMap{{Proto: spec.UDP, Port: 53}}},
		"range": {`[{"Proto":132,"Port":9,"HostIP":"fd00::1","HostPort":9000,"HostPortEnd":9009}]`, []spec.PortMap{{spec.SCTP, at("fd00::1"), 9000, 9009, 9}}},
		"short": {`[{"Proto":6,"Port":80,"HostPort":8080,"Later":true}]`, []spec.PortMap{{Proto: spec.TCP, HostPort: 8080, HostPortEnd: 8080, Port: 80}}},
		"v4in6": {`[{"Proto":6,"Port":80,"HostIP":"::ffff:192.0.2.1"}]`, []spec.PortMap{{Proto: spec.TCP, HostIP: at("192.0.2.1"), Port: 80}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := spec.ParsePortMaps(decoded(t, c.json))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if got, err := spec.ParsePortMaps(nil); got != nil || err != nil {
		t.Error(got, err)
	}
}

func TestParsePortMapsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                    "is not a list",
		`["80"]`:                                "80 is not an object",
		`[{"Proto":6}]`:                         "Port <nil> is not a number from 1 to 65535",
		`[{"Proto":6,"Port":0}]`:                "Port 0 is not a number",
		`[{"Proto":6,"Port":65536}]`:            "Port 65536 is not a number",
		`[{"Proto":6,"Port":"80"}]`:             "Port 80 is not a number",
		`[{"Proto":6,"Port":8.5}]`:              "Port 8.5 is not a number",
		`[{"Proto":1,"Port":80}]`:               "protocol 1 is not tcp, udp or sctp",
		`[{"Port":80}]`:                         "Proto <nil> is not a number",
		`[{"Proto":6,"Port":80,"HostPort":-1}]`: "HostPort -1 is not a number from 0",
		`[{"Proto":6,"Port":80,"HostPort":9,"HostPortEnd":8}]`: "host ports 9-8 are no range",
		`[{"Proto":6,"Port":80,"HostPortEnd":8}]`:              "host ports 0-8 are no range",
		`[{"Proto":6,"Port":80,"HostIP":"eth0"}]`:              `HostIP "eth0" is not an address`,
		`[{"Proto":6,"Port":80,"HostIP":7}]`:                   "HostIP 7 is not text",
	} {
		_, err := spec.ParsePortMaps(decoded(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPublishedText(t *testing.T) {
	p := spec.Published{Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), HostPort: 8080, To: netip.MustParseAddrPort("172.12.0.8:80")}
	if got := p.String(); got != "0.0.0.0:8080->172.12.0.8:80/tcp" {
		t.Error(got)
	}
	six := spec.Published{Proto: spec.UDP, HostIP: netip.IPv6Unspecified(), HostPort: 53, To: netip.MustParseAddrPort("[fd00::8]:53")}
	if got := six.String(); got != "[::]:53->[fd00::8]:53/udp" {
		t.Error(got)
	}
	text, err := json.Marshal(p)
	if want := `{"proto":"tcp","host_ip":"0.0.0.0","host_port":8080,"to":"172.12.0.8:80"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var back spec.Published
	if err := json.Unmarshal(text, &back); err != nil || back != p {
		t.Error(back, err)
	}
	if got := (spec.PortMap{Proto: spec.TCP, HostPort: 80, HostPortEnd: 89}).String(); got != "0.0.0.0:80-89/tcp" {
		t.Error(got)
	}
}

func TestCheckPublish(t *testing.T) {
	maps := []spec.PortMap{{Proto: spec.TCP, HostPort: 80, HostPortEnd: 80, Port: 80}}
	if err := spec.CheckPublish(spec.Network{Mode: spec.Flat}, maps); err == nil || !strings.HasPrefix(err.Error(), "cannot publish port 0.0.0.0:80/tcp: the network's mode is flat") {
		t.Error(err)
	}
	if err := spec.CheckPublish(spec.Network{Mode: spec.NAT}, maps); err != nil {
		t.Error(err)
	}
	port := func(ip string, first, last uint16, proto spec.Proto) spec.PortMap {
		m := spec.PortMap{Proto: proto, HostPort: first, HostPortEnd: last, Port: 80}
		if ip != "" {
			m.HostIP = netip.MustParseAddr(ip)
		}
		return m
	}
	for _, c := range []struct {
		maps []spec.PortMap
		want string // "": allowed
	}{
		{[]spec.PortMap{port("::1", 80, 80, spec.TCP)}, "cannot publish port [::1]:80/tcp: nothing that is sent to ::1 can be passed on; 127.0.0.1 can"},
		{[]spec.PortMap{port("224.0.0.1", 80, 80, spec.TCP)}, "cannot publish port 224.0.0.1:80/tcp: that is no host's address"},
		{[]spec.PortMap{port("255.255.255.255", 80, 80, spec.TCP)}, "cannot publish port 255.255.255.255:80/tcp: that is no host's address"},
		{[]spec.PortMap{port("fe80::1", 80, 80, spec.TCP)}, "cannot publish port [fe80::1]:80/tcp: a link-local address is of one link alone; use another address of the host, or none"},
		{[]spec.PortMap{port("", 80, 80, spec.TCP), port("", 80, 80, spec.TCP)}, "cannot publish port 0.0.0.0:80/tcp: it is asked for twice"},
		{[]spec.PortMap{port("", 80, 80, spec.TCP), port("192.0.2.1", 80, 80, spec.TCP)}, "cannot publish port 192.0.2.1:80/tcp: it is asked for twice"},
		{[]spec.PortMap{port("::", 80, 80, spec.UDP), port("fd00::1", 80, 80, spec.UDP)}, "cannot publish port [fd00::1]:80/udp: it is asked for twice"},
		{[]spec.PortMap{port("", 80, 80, spec.TCP), port("", 80, 80, spec.UDP), port("", 81, 81, spec.TCP)}, ""},
		{[]spec.PortMap{port("0.0.0.0", 80, 80, spec.TCP), port("::", 80, 80, spec.TCP)}, ""},
		{[]spec.PortMap{port("127.0.0.1", 80, 80, spec.TCP), port("192.0.2.1", 80, 80, spec.TCP)}, ""},
		{[]spec.PortMap{port("", 80, 89, spec.TCP), port("", 80, 89, spec.TCP)}, ""},
		{[]spec.PortMap{port("", 0, 0, spec.TCP), port("", 0, 0, spec.TCP)}, ""},
	} {
		got := ""
		if err := spec.CheckPublish(spec.Network{Mode: spec.NAT}, c.maps); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.maps, got, c.want)
		}
	}
}

// FuzzParsePortMaps: whatever the JSON, no panic, and what is accepted is sound.
func FuzzParsePortMaps(f *testing.F) {
	f.Add(`[{"Proto":6,"IP":"","Port":80,"HostIP":"127.0.0.1","HostPort":8080,"HostPortEnd":8080}]`)
	f.Add(`[{"Proto":1e400,"Port":-0.5,"HostIP":[]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			return
		}
		maps, err := spec.ParsePortMaps(v)
		for _, m := range maps {
			if err != nil || m.Port == 0 || m.HostPortEnd < m.HostPort || m.Proto == "" || m.HostIP.Is4In6() {
				t.Errorf("%s: %+v, %v", text, m, err)
			}
		}
	})
}
