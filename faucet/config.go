// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"dovesnap/spec"
)

// LocalPort is OFPP_LOCAL, the bridge's own port.
const LocalPort spec.OFPort = 0xfffffffe

// Config is what Faucet is told: the part of its configuration that is ours.
type Config struct {
	ACLs  map[string][]aclEntry `yaml:"acls"` // ours, always the same
	VLANs map[int]VLAN          `yaml:"vlans,omitempty"`
	DPs   map[string]DP         `yaml:"dps,omitempty"`
}

// VLAN is the ACLs of what leaves a VLAN.
type VLAN struct {
	Description string `yaml:"description"`
	ACLsOut     []ACL  `yaml:"acls_out"`
}

// DP is one network's datapath. A change of anything but its ports makes Faucet
// start the datapath anew.
type DP struct {
	ID          DPID                      `yaml:"dp_id"`
	Hardware    string                    `yaml:"hardware"`
	Description string                    `yaml:"description"`
	Egress      bool                      `yaml:"egress_pipeline,omitempty"`
	Interfaces  map[spec.OFPort]Interface `yaml:"interfaces,omitempty"`
	Ranges      map[string]Interface      `yaml:"interface_ranges,omitempty"` // at most one of ours: "1-64"
	Rest        map[string]any            `yaml:",inline"`                    // what is not ours, when read
}

// Interface is one port. What an explicit interface lacks it inherits from the
// range that it's in; so every one has its VLAN and its ACLs, and a coprocessor
// has "null" and "[]".
type Interface struct {
	Description string         `yaml:"description,omitempty"`
	VLAN        VID            `yaml:"native_vlan"`
	Trunks      []int          `yaml:"tagged_vlans,omitempty"`
	ACLs        []ACL          `yaml:"acls_in"`
	Reconf      *bool          `yaml:"opstatus_reconf,omitempty"`
	Coprocessor *Coprocessor   `yaml:"coprocessor,omitempty"`
	Rest        map[string]any `yaml:",inline"` // what is not ours, when read
}

// Coprocessor is how packets go to and come from a coprocessor's port.
type Coprocessor struct {
	Strategy string `yaml:"strategy"`
}

// DPID is written as people read it.
type DPID spec.DPID

// MarshalYAML writes a hexadecimal number.
func (d DPID) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: spec.DPID(d).String()}, nil
}

// VID is a VLAN's number; 0 is written as null.
type VID int

// MarshalYAML writes a number or null.
func (v VID) MarshalYAML() (any, error) {
	if v == 0 {
		return nil, nil
	}
	return int(v), nil
}

// ACL names an ACL. Faucet tells the name 101 from the name "101".
type ACL struct {
	Name   string
	Number bool
}

// MarshalYAML writes a number or a string.
func (a ACL) MarshalYAML() (any, error) {
	if n, err := strconv.Atoi(a.Name); err == nil && a.Number {
		return n, nil
	}
	return a.Name, nil
}

// UnmarshalYAML reads what MarshalYAML writes.
func (a *ACL) UnmarshalYAML(n *yaml.Node) error {
	*a = ACL{Name: n.Value, Number: n.ShortTag() == "!!int"}
	return n.Decode(&a.Name)
}

// fileMark begins the file that is ours.
const fileMark = "# dovesnap writes this file"

const fileHeader = fileMark + ` whenever a network or a container changes.
# Nothing you write here stays: faucet.yaml, which includes it, is yours.

`

// String returns the text of the file: the same for the same Config.
func (c Config) String() string { return fileHeader + block(c) }

// block writes plain values in YAML's block style.
func block(v any) string {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("cannot write a Faucet configuration: %v", err))
	}
	return b.String()
}

// Parse reads what String wrote; an empty text is an empty Config.
func Parse(text string) (Config, error) {
	var c Config
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return Config{}, fmt.Errorf("cannot read a Faucet configuration: %s", oneLine(err.Error()))
	}
	return c, nil
}

// rangeKey names the ports 1 to last; Faucet takes no "1-1".
func rangeKey(last int) string {
	if last == 1 {
		return "1"
	}
	return fmt.Sprintf("1-%d", last)
}

// last returns the last port of the range; 0 when there is none of that form, as
// somebody else may have written it.
func (d DP) last() int {
	for key := range d.Ranges {
		if n, err := strconv.Atoi(strings.TrimPrefix(key, "1-")); err == nil && n <= int(spec.MaxOFPort) {
			return n
		}
	}
	return 0
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
