// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What Status.Mode says once Run has decided.
const (
	Managed  = "managed"
	Attached = "attached"
)

// What Status.Datapath says: the values of Bridge datapath_type.
const (
	SystemDatapath = "system" // the kernel module
	NetdevDatapath = "netdev" // userspace, where the kernel has no openvswitch
)

// Status is a snapshot for people and for the status page.
type Status struct {
	Mode         string  `json:"mode"`               // managed or attached; empty until decided
	Endpoint     string  `json:"endpoint"`           // of OVSDB
	Datapath     string  `json:"datapath"`           // the best kind available: system or netdev
	UserspaceTSO bool    `json:"userspace_tso"`      // netdev bridges carry unfinished checksums: leave container offloads on
	Conflict     string  `json:"conflict,omitempty"` // another ovs-vswitchd in our network namespace
	Children     []Child `json:"children"`
}

// Child is the state of one daemon.
type Child struct {
	Name      string    `json:"name"`
	PID       int       `json:"pid,omitempty"`
	State     State     `json:"state"`
	Since     time.Time `json:"since"`
	Restarts  int       `json:"restarts"`
	LastError string    `json:"last_error,omitempty"`
}

// Status may be called at any time.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Children = slices.Clone(s.status.Children)
	for _, c := range s.children {
		st.Children = append(st.Children, c.snapshot())
	}
	return st
}

func (s *Supervisor) setMode(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Mode = mode
	s.status.UserspaceTSO = mode == Managed // we switch it on before every start of ovs-vswitchd
}

// learnDatapath asks for the kernel's openvswitch family; asking also loads the
// module where one is installed (genetlink's ctrl_getfamily requests it).
func (s *Supervisor) learnDatapath() {
	kind, err := SystemDatapath, error(nil)
	if h, herr := netlink.NewHandle(unix.NETLINK_GENERIC); herr != nil {
		err = herr
	} else {
		defer h.Close()
		if err = h.SetSocketTimeout(10 * time.Second); err == nil {
			_, err = h.GenlFamilyGet("ovs_datapath")
		}
	}
	if err != nil {
		kind = NetdevDatapath
		s.log.Warn("this kernel has no openvswitch module: bridges use the userspace datapath", "err", err)
	}
	s.mu.Lock()
	s.status.Datapath = kind
	s.mu.Unlock()
}

func (c *child) enter(next State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.State == next {
		return
	}
	c.log.Debug("state", "from", c.status.State, "to", next)
	c.status.State, c.status.Since = next, c.clock.Now()
	c.status.PID = 0
	if c.proc != nil {
		c.status.PID = c.proc.PID()
	}
}

func (c *child) since() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status.Since
}

func (c *child) countStart() {
	c.starts++
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Restarts = c.starts - 1
}

func (c *child) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.LastError = err.Error()
}

func (c *child) looping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loop
}

func (c *child) setLooping(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loop = yes
}

// snapshot shows a crash loop as Degraded whatever the machine does at the
// moment: who looks between two crashes must not see health.
func (c *child) snapshot() Child {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.status
	if c.loop {
		st.State = Degraded
	}
	return st
}
