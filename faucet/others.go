// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"dovesnap/spec"
	"dovesnap/whole"
)

// Others is what Faucet's configuration has beside ours: the operator's.
type Others struct {
	Where string               // for errors: "/etc/faucet/faucet.yaml"
	DPs   map[string]spec.DPID // by name
	ACLs  map[string]bool      // whether the name is a number
	VLANs map[string]int       // their numbers by key
	// ACLsOut is what leaves their VLANs meets, by key.
	ACLsOut map[string][]ACL
	// OnVLANs is all ACLs of a VLAN, by number; OnPorts the names of those that
	// are on ports: see once.go.
	OnVLANs map[int][]ACL
	OnPorts map[string]bool
	// Partial says that there may be ACLs that are not in ACLs.
	Partial bool
	// Missing says that the operator's file does not exist.
	Missing bool
	// PassedOver is why optional files that are there count as if they were not.
	PassedOver []string
	// Chain is the files that lead from the operator's file to ours, his first;
	// none when it doesn't include ours.
	Chain []string
}

func newOthers(where string) Others {
	return Others{Where: where, DPs: map[string]spec.DPID{}, ACLs: map[string]bool{}, VLANs: map[string]int{}, ACLsOut: map[string][]ACL{}, OnVLANs: map[int][]ACL{}, OnPorts: map[string]bool{}}
}

// Reader reads the operator's files when one has changed.
type reader struct {
	config, file string // the operator's file, and ours
	stamps       map[string]stamp
	paths        map[string]string // to where each path led, with links followed
	others       Others
	err          error
}

// read returns what the operator's file and all that it includes have; false when
// nothing has changed since the last call. A file that is not there is empty.
func (r *reader) read() (o Others, changed bool, err error) {
	if r.stamps != nil && r.unchanged() {
		return r.others, false, r.err
	}
	r.stamps, r.paths = map[string]stamp{}, map[string]string{}
	r.others = newOthers(r.config)
	r.err = r.include(r.follow(r.config), nil, map[string]bool{}, &r.others)
	return r.others, true, r.err
}

// follow is realpath, and remembers: a link may come to lead elsewhere, with
// nothing changed where it led before.
func (r *reader) follow(path string) string {
	r.paths[path] = realpath(path)
	return r.paths[path]
}

func (r *reader) unchanged() bool {
	for path, before := range r.paths {
		if realpath(path) != before {
			return false
		}
	}
	for file, before := range r.stamps {
		if stampOf(file) != before {
			return false
		}
	}
	return true
}

// operators is what of his file concerns us.
type operators struct {
	DPs map[string]struct {
		ID          yaml.Node      `yaml:"dp_id"`
		Description yaml.Node      `yaml:"description"`
		Interfaces  map[any]aclsIn `yaml:"interfaces"`
		Ranges      map[any]aclsIn `yaml:"interface_ranges"`
		aclsIn      `yaml:",inline"`
	} `yaml:"dps"`
	ACLs  map[any]yaml.Node `yaml:"acls"`
	VLANs map[string]struct {
		VID         int       `yaml:"vid"`
		Description yaml.Node `yaml:"description"`
		ACLOut      *ACL      `yaml:"acl_out"`
		ACLsOut     []ACL     `yaml:"acls_out"`
		aclsIn      `yaml:",inline"`
	} `yaml:"vlans"`
	Include  []string             `yaml:"include"`
	Optional []string             `yaml:"include-optional"`
	Rest     map[string]yaml.Node `yaml:",inline"`
}

// aclsIn is the ACLs of a port, a VLAN or a datapath.
type aclsIn struct {
	ACL  *ACL  `yaml:"acl_in"`
	ACLs []ACL `yaml:"acls_in"`
}

func (a aclsIn) all() []ACL {
	if a.ACL != nil {
		return append(slices.Clip(a.ACLs), *a.ACL)
	}
	return a.ACLs
}

// parse reads one file; Faucet refuses top-level keys that it doesn't know.
func (o *operators) parse(text string) error {
	if err := yaml.Unmarshal([]byte(text), o); err != nil {
		return err
	}
	for key := range o.Rest {
		if key != "meters" && key != "routers" && key != "version" {
			return fmt.Errorf("Faucet knows no key %q there", key)
		}
	}
	return nil
}

// include follows Faucet's rules (config_parser_util.dp_include): paths are
// relative to the including file; an optional file that is broken, or includes
// what was loaded before it, is as if it were not there; later definitions replace
// earlier ones. loaded is what was loaded before, and gets what is.
func (r *reader) include(file string, via []string, loaded map[string]bool, into *Others) error {
	via = append(slices.Clip(via), file)
	r.stamps[file] = stampOf(file)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && len(via) == 1 {
		into.Missing = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read Faucet's configuration %q: %w", file, whole.Cause(err))
	}
	var o operators
	if err := o.parse(string(text)); err != nil {
		return fmt.Errorf("cannot read Faucet's configuration %q: %s", file, oneLine(err.Error()))
	}
	found, now := newOthers(into.Where), maps.Clone(loaded)
	now[file] = true
	found.take(o)
	for i, path := range append(slices.Clip(o.Include), o.Optional...) {
		path = r.follow(beside(path, file))
		var err error
		switch {
		case loaded[path]:
			err = fmt.Errorf("cannot read Faucet's configuration %q: it includes %q, which was loaded before", file, path)
		case path == realpath(r.file):
			found.Chain = via
		default:
			err = r.include(path, via, now, &found)
		}
		if err != nil && i < len(o.Include) {
			return err
		}
		if err != nil && !loaded[path] && !stampOf(path).missing {
			found.PassedOver = append(found.PassedOver, err.Error())
		}
		now[path] = true
	}
	maps.Copy(loaded, now)
	into.add(found)
	return nil
}

// take adds what one file defines.
func (o *Others) take(f operators) {
	for name, dp := range f.DPs {
		id, _ := strconv.ParseUint(dp.ID.Value, 0, 64)
		o.DPs[name] = spec.DPID(id)
		ports := append(slices.Collect(maps.Values(dp.Interfaces)), slices.Collect(maps.Values(dp.Ranges))...)
		for _, p := range append(ports, dp.aclsIn) {
			for _, acl := range p.all() {
				o.OnPorts[acl.Name] = true
			}
		}
	}
	for key := range f.ACLs {
		_, number := key.(int)
		o.ACLs[aclKey(key)] = number
	}
	for key, v := range f.VLANs {
		if o.VLANs[key] = v.VID; v.VID == 0 {
			o.VLANs[key], _ = strconv.Atoi(key)
		}
		if o.ACLsOut[key] = v.ACLsOut; v.ACLOut != nil {
			o.ACLsOut[key] = []ACL{*v.ACLOut}
		}
		if all := append(v.all(), o.ACLsOut[key]...); len(all) > 0 {
			o.OnVLANs[o.VLANs[key]] = all
		}
	}
}

// aclKey is the name of an ACL. That of a null, as YAML reads a name without quotes,
// is for the eye alone: nobody can ask for it.
func aclKey(key any) string {
	if key == nil {
		return "null (without quotes)"
	}
	return fmt.Sprint(key)
}

func (o *Others) add(found Others) {
	maps.Copy(o.DPs, found.DPs)
	maps.Copy(o.ACLs, found.ACLs)
	maps.Copy(o.VLANs, found.VLANs)
	maps.Copy(o.ACLsOut, found.ACLsOut)
	maps.Copy(o.OnVLANs, found.OnVLANs)
	maps.Copy(o.OnPorts, found.OnPorts)
	o.PassedOver = append(o.PassedOver, found.PassedOver...)
	if found.Chain != nil {
		o.Chain = found.Chain
	}
}

// vlanKey returns under which key others define a VLAN.
func (o Others) vlanKey(vid int) (string, bool) {
	for _, key := range slices.Sorted(maps.Keys(o.VLANs)) {
		if o.VLANs[key] == vid {
			return key, true
		}
	}
	return "", false
}

// state names what others have.
func (o Others) state() string {
	return fmt.Sprint(o.DPs, o.ACLs, o.VLANs, o.ACLsOut, o.OnVLANs, o.OnPorts)
}

// resolve returns the path of an included file as Faucet has it.
func resolve(path, parent string) string { return realpath(beside(path, parent)) }

// beside is resolve before links are followed.
func beside(path, parent string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(realpath(parent)), path)
}

// realpath follows links as far as the path exists, and where one leads nowhere,
// to where that would be, as Python's does.
func realpath(path string) string {
	for range 40 { // as the kernel does
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	path = filepath.Clean(path)
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(realpath(dir), filepath.Base(path))
	}
	return path
}
