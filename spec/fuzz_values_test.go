// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dovesnap/spec"
)

// FuzzParseExpr holds that an expression's text means the same when it is read
// again, and that what it says is fit to be written into Faucet's configuration.
func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{"", "a", "a,b", "lab:a/b", "lab:", "a/lab:b,c", ":", "a:b:c", " a / lab : b ", "a\n", "l\xff:a", "/", ","} {
		f.Add(s, "lab")
	}
	f.Fuzz(func(t *testing.T, s, network string) {
		e, err := spec.ParseExpr(s)
		if err != nil {
			if e != "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %q, %v", s, e, err)
			}
			return
		}
		again, err := spec.ParseExpr(string(e))
		if err != nil || again != e {
			t.Errorf("%q gave %q, which gives %q, %v", s, e, again, err)
		}
		for _, acl := range e.For(network) {
			if acl == "" || strings.ContainsAny(acl, " \t\r\n,:/{}[]#\"'&*!|>%@`\\") {
				t.Errorf("%q says %q of %q", s, acl, network)
			}
		}
		text, err := json.Marshal(e)
		var back spec.Expr
		if err != nil || json.Unmarshal(text, &back) != nil || back != e {
			t.Errorf("%q: stored as %s, read back as %q", e, text, back)
		}
	})
}

func FuzzParseMACPrefix(f *testing.F) {
	for _, s := range []string{"", "0", "0e", "0e:99", "0E9901", "00:00:00:00:00", "000000", "01", "0:e", "::", "é"} {
		f.Add(s, uint8(0))
	}
	f.Fuzz(func(t *testing.T, s string, last uint8) {
		p, err := spec.ParseMACPrefix(s)
		if err != nil {
			return
		}
		if again, err := spec.ParseMACPrefix(string(p)); err != nil || again != p {
			t.Errorf("%q gave %q, which gives %q, %v", s, p, again, err)
		}
		address := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 24)
		mac := spec.EndpointMAC("e", []netip.Prefix{address}, p)
		if got, err := spec.ParseMAC(string(mac)); err != nil || got != mac || !strings.HasPrefix(string(mac), string(p)) || p.On(mac) != mac {
			t.Errorf("%q makes %q: %q, %v", s, mac, got, err)
		}
	})
}

func FuzzParseBitRate(f *testing.F) {
	for _, s := range []string{"", "1000", "1k", "1.5G", "10m", "1e9", "0x1k", "4.35M", ".", "NaN", "1000G", "99999999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := spec.ParseBitRate(s)
		if err != nil {
			return
		}
		if again, err := spec.ParseBitRate(strconv.FormatUint(uint64(r), 10)); err != nil || again != r || r.Kbps() < 1 {
			t.Errorf("%q gave %d, which gives %d, %v", s, r, again, err)
		}
	})
}

func FuzzParseVLANs(f *testing.F) {
	for _, s := range []string{"", "10", "10,20,30-39", "1-4094", "5-3", "-", ",", "1-", " 7 , 8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := spec.ParseVLANs(s)
		if err != nil {
			return
		}
		again, err := spec.ParseVLANs(strings.ReplaceAll(strings.Trim(fmt.Sprint(list), "[]"), " ", ","))
		if err != nil || !slices.Equal(again, list) {
			t.Errorf("%q gave %v, which gives %v, %v", s, list, again, err)
		}
		if len(list) == 0 || list[0] < 1 || list[len(list)-1] > 4094 || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%q gave %v", s, list)
		}
	})
}

// FuzzParseEndpoint gives one driver-opt any value, and a label the same.
func FuzzParseEndpoint(f *testing.F) {
	for i := range spec.PortKeys {
		for _, v := range []string{"", "a/lab:b", "0e:99", "20", "10,20-30", "1.5M", "true", "\x00"} {
			f.Add(uint8(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, key uint8, value string) {
		name := spec.PortKeys[int(key)%len(spec.PortKeys)].Name
		e, err := spec.ParseEndpoint(spec.EndpointRequest{ID: endpointID, Network: netID, Options: map[string]any{name: value}})
		labels, labelErr := spec.ParseLabels(map[string]string{name: value})
		if err == nil && labelErr == nil && strings.TrimSpace(value) != "" && (labels.ACL != e.ACL || labels.MACPrefix != e.MACPrefix) {
			t.Errorf("%s=%q: as a label %+v, as a driver-opt %+v", name, value, labels, e)
		}
		for _, err := range []error{err, labelErr} {
			if err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), name)) {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
		if err != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back spec.Endpoint
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s=%q: stored as %s, read back as %+v, %v", name, value, text, back, err)
		}
	})
}
