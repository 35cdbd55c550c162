// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// server is faucetconfrpc, as *rpc.Client is.
type server interface {
	Config(context.Context) (yaml string, err error)
	ACLs(context.Context) (names []string, err error)
	Merge(ctx context.Context, yaml string, drop ...string) error
	DeleteDPs(ctx context.Context, names []string) error
}

// split tells apart what is ours and what is others' in the text of the server's
// file. Ours are the datapaths and VLANs whose description has the owner's mark,
// and our ACLs.
func split(text, owner, where string) (ours Config, others Others, err error) {
	var all operators
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		return Config{}, Others{}, fmt.Errorf("cannot read %s: %s", where, oneLine(err.Error()))
	}
	var part struct {
		ACLs  map[string]yaml.Node `yaml:"acls"`
		VLANs map[any]yaml.Node    `yaml:"vlans"` // whose keys are numbers or names
		DPs   map[string]yaml.Node `yaml:"dps"`
	}
	if err := yaml.Unmarshal([]byte(text), &part); err != nil {
		return Config{}, Others{}, fmt.Errorf("cannot read %s: %s", where, oneLine(err.Error()))
	}
	maps.DeleteFunc(part.DPs, func(name string, _ yaml.Node) bool {
		return !strings.HasPrefix(all.DPs[name].Description.Value, mark(owner))
	})
	maps.DeleteFunc(part.VLANs, func(key any, _ yaml.Node) bool {
		v := all.VLANs[fmt.Sprint(key)]
		return v.Description.Value != signature(owner) || len(v.ACLsOut) == 0 // one that is done with
	})
	maps.DeleteFunc(part.ACLs, func(name string, _ yaml.Node) bool { return !slices.Contains(ownNames, name) })
	if ours, err = Parse(block(part)); err != nil {
		return Config{}, Others{}, err
	}
	others = newOthers(where)
	for name := range part.DPs {
		delete(all.DPs, name)
	}
	for key, v := range all.VLANs {
		if v.Description.Value == signature(owner) {
			delete(all.VLANs, key)
		}
	}
	for _, name := range ownNames {
		delete(all.ACLs, name)
	}
	others.take(all)
	others.Partial = len(all.Include)+len(all.Optional) > 0
	return ours, others, nil
}

// part is a piece of configuration to merge.
type part struct {
	ACLs  map[string][]aclEntry `yaml:"acls,omitempty"`
	VLANs map[int]VLAN          `yaml:"vlans,omitempty"`
	DPs   map[string]DP         `yaml:"dps,omitempty"`
}

// apply brings the server from what it holds of ours to what is wanted, datapath
// by datapath, so that one that is refused does not keep the others. What is stale
// goes first, since its datapath id may be wanted again. It tries everything and
// returns all that went wrong, unless the server does not answer: unreachable.
func apply(ctx context.Context, s server, held, want Config, unreachable error) error {
	a := &applier{ctx: ctx, s: s, unreachable: unreachable}
	for _, name := range slices.Sorted(maps.Keys(held.DPs)) {
		if _, wanted := want.DPs[name]; !wanted {
			a.remove(name, held.DPs[name])
		}
	}
	a.add(held, want)
	for _, name := range slices.Sorted(maps.Keys(want.DPs)) {
		dp := want.DPs[name]
		if before, ok := held.DPs[name]; ok && block(before) != block(dp) {
			a.do("change", name, func() error { return s.Merge(ctx, block(part{DPs: map[string]DP{name: dp}}), "dps", name) })
		}
	}
	for vid, v := range held.VLANs {
		if _, wanted := want.VLANs[vid]; !wanted {
			v.ACLsOut = nil // the server can't be asked to delete a key that is a number
			a.do("clear", fmt.Sprint(vid), func() error { return s.Merge(ctx, block(part{VLANs: map[int]VLAN{vid: v}})) })
		}
	}
	return joined(a.errs)
}

type applier struct {
	ctx         context.Context
	s           server
	unreachable error
	errs        []error
	gone        bool // the server does not answer
}

func (a *applier) do(verb, name string, call func() error) {
	if a.gone {
		return
	}
	if err := call(); err != nil {
		a.gone = errors.Is(err, a.unreachable)
		a.errs = append(a.errs, fmt.Errorf("cannot %s %q in Faucet's configuration: %w", verb, name, err))
	}
}

func (a *applier) remove(name string, dp DP) {
	a.do("remove", name, func() error {
		if len(dp.Interfaces) == 0 { // DelDps fails for such a one
			return a.s.Merge(a.ctx, "{}", "dps", name)
		}
		return a.s.DeleteDPs(a.ctx, []string{name})
	})
}

// add merges what is not there yet: in one call, and when that is refused, piece
// by piece.
func (a *applier) add(held, want Config) {
	p := part{VLANs: map[int]VLAN{}, DPs: map[string]DP{}}
	if block(held.ACLs) != block(want.ACLs) {
		p.ACLs = want.ACLs
	}
	for vid, v := range want.VLANs {
		if before, ok := held.VLANs[vid]; !ok || block(before) != block(v) {
			p.VLANs[vid] = v
		}
	}
	for name, dp := range want.DPs {
		if _, ok := held.DPs[name]; !ok {
			p.DPs[name] = dp
		}
	}
	if p.ACLs == nil && len(p.VLANs)+len(p.DPs) == 0 || a.gone {
		return
	}
	err := a.s.Merge(a.ctx, block(p))
	if err == nil {
		return
	}
	if errors.Is(err, a.unreachable) {
		a.do("change", "", func() error { return err })
		return
	}
	merge := func(verb, name string, p part) {
		a.do(verb, name, func() error { return a.s.Merge(a.ctx, block(p)) })
	}
	if p.ACLs != nil {
		merge("add", "acls", part{ACLs: p.ACLs})
	}
	for _, vid := range slices.Sorted(maps.Keys(p.VLANs)) {
		merge("change", fmt.Sprint("VLAN ", vid), part{VLANs: map[int]VLAN{vid: p.VLANs[vid]}})
	}
	for _, name := range slices.Sorted(maps.Keys(p.DPs)) {
		merge("add", name, part{DPs: map[string]DP{name: p.DPs[name]}})
	}
}

// withACLs adds the names that the server knows, those of included files too. Its
// answer does not tell numbers from strings.
func (o Others) withACLs(names []string) Others {
	for _, name := range names {
		if _, known := o.ACLs[name]; !known && !slices.Contains(ownNames, name) {
			o.ACLs[name] = strings.Trim(name, "0123456789") == ""
		}
	}
	o.Partial = false
	return o
}
