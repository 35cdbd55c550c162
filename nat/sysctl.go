// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dovesnap/spec"
)

const (
	ipv4Conf    = "/proc/sys/net/ipv4/conf"
	sysctlRoot  = "/proc/sys/"
	localnetKey = "route_localnet"
	rpKey       = "rp_filter"
)

// Changed is a setting of the kernel's that dovesnap changed.
type Changed struct {
	Key string `json:"key"` // as sysctl(8) writes it
	Was string `json:"was"` // set back to when the need goes
	Is  string `json:"is"`
	Why string `json:"why"`
}

// sysctls remembers what was changed, for people; what is to be set back is
// known without it.
type sysctls struct {
	mu      sync.Mutex // never held over I/O
	changed map[string]Changed
}

func (s *sysctls) note(path, was, is, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = map[string]Changed{}
	}
	if _, ok := s.changed[path]; !ok {
		key := strings.ReplaceAll(strings.TrimPrefix(path, sysctlRoot), "/", ".")
		s.changed[path] = Changed{Key: key, Was: was, Is: is, Why: why}
	}
}

func (s *sysctls) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.changed, path)
}

// Sysctls returns what is changed, as it is now, sorted. Any goroutine may call it.
func (t *Table) Sysctls() (out []Changed) {
	t.sysctls.mu.Lock()
	changed := maps.Clone(t.sysctls.changed)
	t.sysctls.mu.Unlock()
	for path, c := range changed {
		c.Is = readValue(path)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Changed) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// setting is what a link of ours needs; what it need not have is the default.
type setting struct {
	link, key, value, why string
	needed                bool
}

func (s setting) path() string { return filepath.Join(ipv4Conf, s.link, s.key) }

// settings returns what the networks' bridges need.
//
// route_localnet lets 127.0.0.1 reach a published port: the answer comes to the
// bridge and is for a loopback address. renderRaw keeps that from being a way in.
//
// rp_filter is loose where the host is strict: what Faucet routed between two
// networks comes in by the bridge of the one with an address of the other.
func settings(nets []spec.Network, endpoints []spec.Endpoint) []setting {
	local := map[spec.NetworkID]bool{}
	for _, e := range endpoints {
		for _, p := range e.Published {
			if p.To.Addr().Is4() && (p.HostIP.IsUnspecified() || p.HostIP.IsLoopback()) {
				local[e.Network] = true
			}
		}
	}
	strict := readValue(filepath.Join(ipv4Conf, "all", rpKey)) == "1" || readValue(filepath.Join(ipv4Conf, "default", rpKey)) == "1"
	var out []setting
	for _, n := range nets {
		if len(gatewayPools(n, netip.Addr.Is4)) == 0 {
			continue
		}
		out = append(out, setting{n.Bridge, localnetKey, "1", "ports are published on 127.0.0.1", local[n.ID]})
		if strict {
			out = append(out, setting{n.Bridge, rpKey, "2", "networks may be routed to one another by Faucet", true})
		}
	}
	return out
}

// target returns the value a setting shall have; "" when its link is not there.
func (s setting) target() (is, shall string) {
	is = readValue(s.path())
	switch {
	case is == "":
		return "", ""
	case s.needed:
		return is, s.value
	}
	return is, readValue(filepath.Join(ipv4Conf, "default", s.key))
}

// applySettings makes the kernel's settings what the networks need.
func (t *Table) applySettings() error {
	var errs []error
	for _, s := range t.settings() {
		is, shall := s.target()
		if is != shall {
			if err := setSysctl(s.path(), shall); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
				continue
			}
		}
		if was := readValue(filepath.Join(ipv4Conf, "default", s.key)); s.needed && shall != "" && was != shall {
			t.sysctls.note(s.path(), was, shall, s.why)
		} else {
			t.sysctls.forget(s.path())
		}
	}
	t.forgetLinks()
	return joined(errs...)
}

// forgetLinks forgets what went with its link.
func (t *Table) forgetLinks() {
	t.sysctls.mu.Lock()
	paths := slices.Collect(maps.Keys(t.sysctls.changed))
	t.sysctls.mu.Unlock()
	for _, path := range paths {
		if readValue(path) == "" {
			t.sysctls.forget(path)
		}
	}
}

// settled reports whether the kernel's settings are what the networks need.
func (t *Table) settled() bool {
	for _, s := range t.settings() {
		if is, shall := s.target(); is != shall {
			return false
		}
	}
	return true
}

// readValue returns a setting, or "" when there is none.
func readValue(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}
