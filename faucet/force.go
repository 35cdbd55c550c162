// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"dovesnap/spec"
	"dovesnap/whole"
)

// force is what Faucet may have in force, oldest first: the version that it is
// known to have, and all that it was given since. One that is nobody's (unknown)
// may have anything.
type force struct {
	versions []given
	unknown  bool
}

type given struct {
	versions []string // its names; more than one when it stands for several
	ports    policies
}

// maxVersions bounds how many are kept apart while Faucet says nothing.
const maxVersions = 16

// give adds a version that Faucet may get from now on.
func (f *force) give(ports policies) {
	f.versions = append(f.versions, given{ports: ports})
	if len(f.versions) > maxVersions {
		a, b := f.versions[0], f.versions[1]
		f.versions[1] = given{versions: append(slices.Clip(a.versions), b.versions...), ports: a.ports.with(b.ports)}
		f.versions = f.versions[1:]
	}
}

// name names the newest version, once it has one.
func (f *force) name(version string) {
	f.versions[len(f.versions)-1].versions = []string{version}
}

// confirm drops what is older than the newest of these versions, which Faucet
// says it has. latest reports that nothing newer was given. When none of them was
// ever given, anything may be in force.
func (f *force) confirm(versions []string) (changed, latest bool) {
	for i := len(f.versions) - 1; i >= 0; i-- {
		if slices.ContainsFunc(versions, func(v string) bool { return slices.Contains(f.versions[i].versions, v) }) {
			changed = i > 0 || f.unknown
			f.versions, f.unknown = slices.Clone(f.versions[i:]), false
			return changed, len(f.versions) == 1
		}
	}
	changed = len(versions) > 0 && !f.unknown
	f.unknown = f.unknown || changed
	return changed, false
}

// only reports whether a port can have no other policy than this one.
func (f *force) only(at port, want policy) bool {
	if f.unknown {
		return false
	}
	for _, v := range f.versions {
		for _, p := range v.ports[at] {
			if p != want {
				return false
			}
		}
	}
	return true
}

// older returns what Faucet may have beside the newest version.
func (f *force) older() policies {
	out := policies{}
	if len(f.versions) == 0 {
		return out
	}
	newest := len(f.versions) - 1
	for _, v := range f.versions[:newest] {
		out = out.with(v.ports)
	}
	return out.without(f.versions[newest].ports)
}

// stored is the form in which policies outlive the process.
type stored struct {
	DPID                  spec.DPID
	Port                  spec.OFPort
	VLAN                  VID
	Trunks, ACLs, ACLsOut string
	Coprocessor           bool
}

// save writes policies to a file; none removes it.
func save(file string, p policies) error {
	if file == "" {
		return nil
	}
	if len(p) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %q: %w", file, whole.Cause(err))
		}
		return nil
	}
	var list []stored
	for at, policies := range p {
		for _, p := range policies {
			list = append(list, stored{at.dp, at.number, p.vlan, p.trunks, p.acls, p.aclsOut, p.coprocessor})
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", file, err)
	}
	return whole.Write(file, text, 0o600, nil)
}

// load reads what save wrote; waits reports that something was there. A file that
// cannot be read may have said anything.
func load(file string) (p policies, waits bool, err error) {
	text, err := os.ReadFile(file)
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	var list []stored
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, true, fmt.Errorf("cannot read %q: %w", file, err)
	}
	p = policies{}
	for _, s := range list {
		at := port{s.DPID, s.Port}
		p[at] = append(p[at], policy{s.VLAN, s.Trunks, s.ACLs, s.ACLsOut, s.Coprocessor})
	}
	return p, true, nil
}
