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
)

// Others is what Faucet's configuration has beside ours: the operator's.
type Others struct {
	Where string               // for errors: "/etc/faucet/faucet.yaml"
	DPs   map[string]spec.DPID // by name
	ACLs  map[string]bool      // whether the name is a number
	VLANs map[string]int       // their numbers by key
	// Chain is the files that lead from the operator's file to ours, his first;
	// none when it doesn't include ours.
	Chain []string
}

func newOthers(where string) Others {
	return Others{Where: where, DPs: map[string]spec.DPID{}, ACLs: map[string]bool{}, VLANs: map[string]int{}}
}

// Reader reads the operator's files when one has changed.
type reader struct {
	config, file string // the operator's file, and ours
	stamps       map[string]stamp
	others       Others
	err          error
}

// stamp tells whether a file has changed.
type stamp struct {
	size    int64
	mtime   int64
	ino     uint64
	missing bool
}

// read returns what the operator's file and all that it includes have; false when
// nothing has changed since the last call. A file that is not there is empty.
func (r *reader) read() (o Others, changed bool, err error) {
	if r.stamps != nil && r.unchanged() {
		return r.others, false, r.err
	}
	r.stamps = map[string]stamp{}
	r.others = newOthers(r.config)
	r.err = r.include(realpath(r.config), nil, map[string]bool{}, &r.others)
	return r.others, true, r.err
}

func (r *reader) unchanged() bool {
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
		ID   yaml.Node            `yaml:"dp_id"`
		Rest map[string]yaml.Node `yaml:",inline"`
	} `yaml:"dps"`
	ACLs  map[any]yaml.Node `yaml:"acls"`
	VLANs map[string]struct {
		VID  int                  `yaml:"vid"`
		Rest map[string]yaml.Node `yaml:",inline"`
	} `yaml:"vlans"`
	Include  []string             `yaml:"include"`
	Optional []string             `yaml:"include-optional"`
	Rest     map[string]yaml.Node `yaml:",inline"`
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
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read Faucet's configuration %q: %w", file, cause(err))
	}
	var o operators
	if err := o.parse(string(text)); err != nil {
		return fmt.Errorf("cannot read Faucet's configuration %q: %s", file, oneLine(err.Error()))
	}
	found, now := newOthers(into.Where), maps.Clone(loaded)
	now[file] = true
	found.take(o)
	for i, path := range append(slices.Clip(o.Include), o.Optional...) {
		path = resolve(path, file)
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
	}
	for key := range f.ACLs {
		_, number := key.(int)
		o.ACLs[fmt.Sprint(key)] = number
	}
	for key, v := range f.VLANs {
		if o.VLANs[key] = v.VID; v.VID == 0 {
			o.VLANs[key], _ = strconv.Atoi(key)
		}
	}
}

func (o *Others) add(found Others) {
	maps.Copy(o.DPs, found.DPs)
	maps.Copy(o.ACLs, found.ACLs)
	maps.Copy(o.VLANs, found.VLANs)
	if found.Chain != nil {
		o.Chain = found.Chain
	}
}

// resolve returns the path of an included file as Faucet has it.
func resolve(path, parent string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(realpath(parent)), path)
	}
	return realpath(path)
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
