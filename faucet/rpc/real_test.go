// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The operator's file, as nobody but the operator writes it.
const operators = `# the operator's
version: 2
include: [acls.yaml]
acls:
  deny: [{rule: {actions: {allow: 0}}}]
dps: {phys: {dp_id: 0x9, interfaces: {1: {native_vlan: 100}}}}
`

const phys = `  phys:
    dp_id: 9
    interfaces:
      1:
        native_vlan: 100
`

// result is the whole file with those datapaths (before phys, by name).
func result(dps string) string {
	return `acls:
  deny:
  - rule:
      actions:
        allow: 0
dps:
` + dps + `include:
- acls.yaml
version: 2
`
}

const netDP = `  net:
    dp_id: 1
    hardware: Open vSwitch
    interface_ranges:
      1-10:
        native_vlan: 100
    interfaces:
      3:
        acls_in:
        - web
        description: /a 0123456789ab
        native_vlan: 100
      4:
        description: /b 0123456789ab
        native_vlan: 100
`

// TestServer is a network's life, at the real server.
func TestServer(t *testing.T) {
	s, c := newServer(t, operators)
	s.write("acls.yaml", "acls: {web: [{rule: {actions: {allow: 1}}}]}\n")
	ctx := context.Background()
	step := func(what string, err error, want string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, s.file()); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		if yaml, err := c.Config(ctx); err != nil || yaml != s.file() {
			t.Errorf("%s: Config is not the file: %v\n%s", what, err, yaml)
		}
	}
	if yaml, err := c.Config(ctx); err != nil || yaml != result(phys) || yaml == s.file() {
		t.Errorf("Config, before the server has written: %v\n%s", err, yaml)
	}
	names, err := c.ACLs(ctx)
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"deny", "web"}) {
		t.Errorf("ACLs: %q, %v", names, err)
	}

	create := `{dps: {"net": {dp_id: 1, hardware: Open vSwitch, interface_ranges: {1-10: {native_vlan: 100}}, interfaces: {` +
		`3: {description: "/a 0123456789ab", native_vlan: 100, acls_in: [web]}, 4: {description: "/b 0123456789ab", native_vlan: 100}}}}}`
	step("create", c.Merge(ctx, create), result(netDP+phys))
	step("again", c.Merge(ctx, create), result(netDP+phys))
	changed := strings.Replace(netDP, "- web", "- deny", 1)
	step("change an ACL", c.Merge(ctx, `{dps: {net: {interfaces: {3: {acls_in: [deny]}}}}}`), result(changed+phys))

	refused := func(what string, err error, text string) {
		t.Helper()
		if !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), ": Unknown: "+text) {
			t.Errorf("%s: %v, want %s", what, err, text)
		}
		step("refused: "+what, nil, result(changed+phys))
	}
	const invalid = "Cannot set FAUCET config: Invalid config: "
	refused("unknown ACL", c.Merge(ctx, `{dps: {net: {interfaces: {4: {acls_in: [nope]}}}}}`), invalid+"missing ACL nope in DP: net")
	refused("unknown ACL in a replaced datapath", c.Merge(ctx, `{dps: {net: {dp_id: 1, interfaces: {4: {acls_in: [nope]}}}}}`, "dps", "net"),
		invalid+"missing ACL nope in DP: net")
	refused("dp_id of another", c.Merge(ctx, `{dps: {twin: {dp_id: 9, interfaces: {1: {native_vlan: 100}}}}}`), invalid+"DPID 9 is duplicated")
	refused("number as name", c.Merge(ctx, `{dps: {123: {dp_id: 2, interfaces: {1: {native_vlan: 100}}}}}`), invalid+"DP 123: DP key 123 and DP name must match")
	refused("drop what is not there", c.Merge(ctx, "{}", "dps", "net", "none"), "Exception calling application: 'none'")
	refused("null", c.Merge(ctx, "{include: }"), "Cannot set FAUCET config: cannot merge ['acls.yaml'] and None")
	many := manyPorts(500, "nope") // grpc carries the whole request in a header of the answer
	refused("large", c.Merge(ctx, many), invalid+"missing ACL nope in DP: many")

	four := changed[:strings.Index(changed, "      3:")] + changed[strings.Index(changed, "      4:"):]
	step("replace a datapath by one without an interface", c.Merge(ctx, strings.Replace(create, `3: {description: "/a 0123456789ab", native_vlan: 100, acls_in: [web]}, `, "", 1), "dps", "net"), result(four+phys))
	ranges, interfaces := strings.Index(four, "    interface_ranges"), strings.Index(four, "    interfaces")
	short := "  net:\n    description: d\n" + strings.Replace(four[7:ranges]+four[interfaces:], "/b", "/c", 1)
	step("drop the ranges and merge", c.Merge(ctx, `{dps: {net: {description: d, interfaces: {4: {description: "/c 0123456789ab"}}}}}`, "dps", "net", "interface_ranges"), result(short+phys))
	step("replace a datapath", c.Merge(ctx, `{dps: {net: {dp_id: 1, interfaces: {4294967294: {native_vlan: 100}}}}}`, "dps", "net"),
		result("  net:\n    dp_id: 1\n    interfaces:\n      4294967294:\n        native_vlan: 100\n"+phys))
	step("delete the datapath, and one that is not there", c.DeleteDPs(ctx, []string{"net", "none"}), result(phys))
	step("delete it again", c.DeleteDPs(ctx, []string{"net"}), result(phys))
	empty := strings.Replace(result("DPS"), "dps:\nDPS", "dps: {}\n", 1)
	step("delete the last", c.DeleteDPs(ctx, []string{"phys"}), empty)
	if _, err := c.ACLs(ctx); !errors.Is(err, ErrRefused) {
		t.Errorf("ACLs without a datapath: %v", err)
	}
	step("create again", c.Merge(ctx, create), result(netDP))
}
