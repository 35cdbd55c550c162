// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"dovesnap/spec"
)

// stored is every field with a value, and the least that is ever stored.
type stored struct {
	Networks  []spec.Network
	Endpoints []spec.Endpoint
}

func storedExample() stored {
	return stored{
		Networks: []spec.Network{
			{
				ID: netID, Bridge: "br0", Mode: spec.NAT, DPID: 1<<64 - 1, Controllers: []spec.Controller{"tcp:127.0.0.1:6653", "ssl:[fd00::1]:6653"},
				Userspace: true, LocalMAC: "0e:00:00:00:00:01", MTU: 9000, VLAN: 200, Uplinks: []spec.Uplink{{Name: "eth1", OFPort: 7, ACL: "office", VLAN: 20, Coprocessor: true}, {Name: "eth2"}},
				Subnets:  []spec.Subnet{subnet("172.12.0.0/24", "172.12.0.1/24"), {Pool: netip.MustParsePrefix("fd00::/64")}},
				Internal: true, Name: "mynet", AllowForward: []string{"office", "all"},
				DefaultACL: "guests/mynet:office,log", NATACL: "nat", VLANOutACL: "out", Preallocate: count(0), MACPrefix: "0e:99",
				MigrateUplinks: true,
			},
			{ID: netID, Bridge: "dsb0123456789ab", Mode: spec.Flat, DPID: 0xd5000123456789ab},
		},
		Endpoints: []spec.Endpoint{
			{
				ID: endpointID, Network: netID, MAC: "02:42:ac:0c:00:08", OFPort: 1, IfName: "lan0", Boot: "2a7fb2d5-4f0c-4b5e-9a51-1c9e2e6b7a10", Maker: "812 since 2750",
				Addresses: []netip.Prefix{netip.MustParsePrefix("172.12.0.8/24"), netip.MustParsePrefix("fd00::8/64")},
				ACL:       "strict", VLAN: 30, Trunks: []int{40, 41}, RateIn: 10e6, RateOut: 1500e3, MACPrefix: "0e", Labelled: true, Held: true,
				Published: []spec.Published{{Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), HostPort: 8080, To: netip.MustParseAddrPort("172.12.0.8:80")}},
			},
			{ID: endpointID, Network: netID, MAC: "02:00:00:00:00:01", OFPort: 2, Boot: "2a7fb2d5-4f0c-4b5e-9a51-1c9e2e6b7a10"},
		},
	}
}

// TestStoredForm fails when what is written into OVSDB changes, or when what an
// earlier version wrote there is read differently. There is deliberately no
// -update: a field that is added belongs into testdata/stored.json by hand, and
// any other change needs a new spec.Version.
func TestStoredForm(t *testing.T) {
	file, err := os.ReadFile("testdata/stored.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(storedExample(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), file) {
		t.Errorf("the stored form has changed; written now:\n%s", got)
	}
	var back stored
	if err := json.Unmarshal(file, &back); err != nil {
		t.Fatal(err)
	}
	if want := storedExample(); !reflect.DeepEqual(back, want) {
		t.Errorf("read back %+v\nwant %+v", back, want)
	}
	if spec.Version != "1" {
		t.Error("a new version needs a golden file of its own beside stored.json, which must stay readable")
	}
}

// TestStoredBeforeFaucet reads what was written before dovesnap configured Faucet:
// the same version, with fewer fields.
func TestStoredBeforeFaucet(t *testing.T) {
	file, err := os.ReadFile("testdata/stored_before_faucet.json")
	if err != nil {
		t.Fatal(err)
	}
	want := storedExample()
	n, e := &want.Networks[0], &want.Endpoints[0]
	n.Name, n.DefaultACL, n.NATACL, n.VLANOutACL, n.Preallocate, n.MACPrefix, n.MigrateUplinks = "", "", "", "", nil, "", false
	n.Uplinks[0] = spec.Uplink{Name: "eth1", OFPort: 7}
	n.AllowForward, e.Published = nil, nil
	e.ACL, e.VLAN, e.Trunks, e.RateIn, e.RateOut, e.MACPrefix, e.Labelled, e.Held, e.Maker = "", 0, nil, 0, 0, "", false, false, ""
	var got stored
	if err := json.Unmarshal(file, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
}

// TestStoredExampleIsComplete makes a new field appear in the golden file.
func TestStoredExampleIsComplete(t *testing.T) {
	e := storedExample()
	for _, v := range []any{e.Networks[0], e.Endpoints[0], e.Networks[0].Subnets[0], e.Networks[0].Uplinks[0]} {
		s := reflect.ValueOf(v)
		for i := range s.NumField() {
			if s.Field(i).IsZero() && s.Type().Field(i).Tag.Get("json") != "-" {
				t.Errorf("%s.%s has no value in the example", s.Type(), s.Type().Field(i).Name)
			}
		}
	}
}
