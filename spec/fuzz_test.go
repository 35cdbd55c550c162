// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"dovesnap/spec"
)

func FuzzParseControllers(f *testing.F) {
	for _, s := range []string{"", "tcp:127.0.0.1:6653", "tcp:[::1]:6653,ssl:a.b", "unix:/x", "ptcp:6653:[::1]", "pssl:", "tcp:[", "tcp:]:", "ptcp:::1", ",,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := spec.ParseControllers(s)
		if err != nil {
			return
		}
		var texts []string
		for _, c := range list {
			texts = append(texts, string(c))
		}
		again, err := spec.ParseControllers(strings.Join(texts, ","))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%q gave %q, which gives %q, %v", s, list, again, err)
		}
	})
}

// FuzzParseNetwork gives one option any value: what is accepted must survive
// being stored, and satisfy what OVSDB and the kernel ask for.
func FuzzParseNetwork(f *testing.F) {
	for i := range spec.Options {
		for _, v := range []string{"", "nat", "0x1", "1500", "true", "0e:00:00:00:00:01", "eth1/2,eth2", "eth1//a/20", "lab:a/b,c", "tcp:127.0.0.1:6653", "-1", "\x00"} {
			f.Add(uint8(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, option uint8, value string) {
		name := spec.Options[int(option)%len(spec.Options)].Name
		r := managed()
		r.Options[name] = value
		n, err := spec.ParseNetwork(r)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "ovs.bridge.") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			return
		}
		if n.DPID == 0 || n.Mode == "" || n.VLAN < 1 || n.VLAN > 4094 || (n.MTU != 0 && n.MTU < 68) || spec.CheckLinkName(n.Bridge) != nil {
			t.Errorf("%s=%q was accepted: %+v", name, value, n)
		}
		for i, u := range n.Uplinks {
			if spec.CheckLinkName(u.Name) != nil || u.OFPort < 1 || u.OFPort > spec.MaxOFPort || u.VLAN < 0 || u.VLAN > 4094 || (i > 0 && u.Name == n.Uplinks[i-1].Name) {
				t.Errorf("%s=%q was accepted: %+v", name, value, n.Uplinks)
			}
		}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		var back spec.Network
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, n) {
			t.Errorf("%s=%q: stored as %s, read back as %+v, %v", name, value, text, back, err)
		}
	})
}
