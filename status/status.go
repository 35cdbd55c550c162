// SPDX-License-Identifier: Apache-2.0

// Package status is how a running dovesnap tells how it is: the wire form, the
// server on a unix socket that answers GET /status with it, the client, and
// the table for people.
//
// Be aware:
//   - The JSON is read by scripts: fields are only ever added.
//   - The socket is root's alone. An answer names containers, addresses and
//     controllers.
//   - Nothing here finds out anything; whoever serves gives a function that
//     does.
package status

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Socket returns the path of the socket in dovesnap's runtime directory.
func Socket(runDir string) string { return filepath.Join(runDir, "status.sock") }

// Status is what dovesnap knows of itself and its networks.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"` // start of the daemon
	Time     time.Time `json:"time"`  // of this answer
	OVS      OVS       `json:"ovs"`
	Docker   Docker    `json:"docker"`
	Faucet   Faucet    `json:"faucet"`
	Networks []Network `json:"networks"`
	// Problems holds what the other fields do not say.
	Problems []string `json:"problems"`
	// Changed are the kernel's settings that dovesnap has changed to forward packets
	// and publish ports; those of IPv6 on the links of bridges are not among them.
	Changed []Setting `json:"changed"`
}

// Setting is one of the kernel's that dovesnap has changed.
type Setting struct {
	Key string `json:"key"` // as sysctl(8) writes it
	Was string `json:"was"`
	Is  string `json:"is"`
	Why string `json:"why"`
}

// OVS is the state of Open vSwitch.
type OVS struct {
	Mode      string  `json:"mode"`     // managed or attached; empty until decided
	Datapath  string  `json:"datapath"` // system or netdev: the best kind on this host
	Ready     bool    `json:"ready"`
	LastError string  `json:"last_error,omitempty"` // why it is not ready
	Children  []Child `json:"children"`
}

// Child is a daemon of Open vSwitch.
type Child struct {
	Name      string    `json:"name"`
	PID       int       `json:"pid,omitempty"`
	State     string    `json:"state"` // ready, or what else it is doing
	Since     time.Time `json:"since"` // of the state
	Restarts  int       `json:"restarts"`
	LastError string    `json:"last_error,omitempty"` // of the last failure, however long ago
}

// Docker is the state of the connection to Docker's API, which is needed for
// names and for sweeping, not for the networks themselves.
type Docker struct {
	Connected bool   `json:"connected"`
	LastError string `json:"last_error,omitempty"`
}

// Faucet is the state of Faucet's configuration.
type Faucet struct {
	Mode      string `json:"mode"`      // off, file or rpc
	Delivered bool   `json:"delivered"` // it has been handed over as it should be
	Confirmed bool   `json:"confirmed"` // Faucet says that it has it
	LastError string `json:"last_error,omitempty"`
}

// Network is a Docker network and its bridge.
type Network struct {
	ID          string       `json:"id"`
	Name        string       `json:"name,omitempty"` // until Docker has told it, empty
	Bridge      string       `json:"bridge"`
	Mode        string       `json:"mode"`
	DPID        string       `json:"dpid"`     // as Faucet's dp_id: 0x1
	Datapath    string       `json:"datapath"` // system or netdev
	Subnets     []string     `json:"subnets"`
	Gateways    []string     `json:"gateways"`
	Controllers []Controller `json:"controllers"`
	Uplinks     []string     `json:"uplinks"`
	MTU         int          `json:"mtu"`
	VLAN        int          `json:"vlan"`
	Endpoints   []Endpoint   `json:"endpoints"`
	Problems    []string     `json:"problems"`
}

// Controller is one OpenFlow connection of a bridge.
type Controller struct {
	Target    string `json:"target"`
	Connected bool   `json:"connected"`
	Role      string `json:"role,omitempty"` // other, master or slave, as OVSDB has it
	LastError string `json:"last_error,omitempty"`
}

// Endpoint is a container's interface on a network.
type Endpoint struct {
	ID        string   `json:"id"`
	Container string   `json:"container,omitempty"` // its name; until Docker has told it, empty
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
	OFPort    int      `json:"ofport"`
	Link      string   `json:"link"` // of the host's end
	VLAN      int      `json:"vlan"`
	ACLs      []string `json:"acls"` // Faucet's, its own or the network's default
	Held      bool     `json:"held"` // nothing passes until its ACL is in force
	Ports     []Port   `json:"ports"`
	Problems  []string `json:"problems"`
}

// Port is a published port.
type Port struct {
	Proto    string `json:"proto"`
	HostIP   string `json:"host_ip"`
	HostPort int    `json:"host_port"`
	IP       string `json:"ip"` // of the container
	Port     int    `json:"port"`
}

// Trouble returns all that is wrong, one sentence each, the widest first.
func (s Status) Trouble() []string {
	var out []string
	add := func(format string, args ...any) {
		out = append(out, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	}
	for _, p := range s.Problems {
		add("%s", p)
	}
	if !s.OVS.Ready {
		add("Open vSwitch is not ready%s", because(s.OVS.LastError))
	}
	for _, c := range s.OVS.Children {
		if c.State != "ready" {
			add("%s is in state %s%s", c.Name, c.State, because(c.LastError))
		}
	}
	if !s.Docker.Connected {
		add("Docker's API does not answer%s", because(s.Docker.LastError))
	}
	for _, n := range s.Networks {
		for _, p := range n.Problems {
			add("network %q: %s", n.label(), p)
		}
		for _, c := range n.Controllers {
			if !c.Connected && !c.passive() {
				add("network %q: not connected to controller %s%s", n.label(), c.Target, because(c.LastError))
			}
		}
		for _, e := range n.Endpoints {
			for _, p := range e.Problems {
				add("network %q, container %q: %s", n.label(), e.label(), p)
			}
		}
	}
	return out
}

// fillLists makes lists without items [] rather than null, over which jq cannot
// iterate.
func (s *Status) fillLists() {
	fill(&s.Problems)
	fill(&s.Changed)
	fill(&s.Networks)
	fill(&s.OVS.Children)
	for i := range s.Networks {
		n := &s.Networks[i]
		fill(&n.Subnets)
		fill(&n.Gateways)
		fill(&n.Controllers)
		fill(&n.Uplinks)
		fill(&n.Endpoints)
		fill(&n.Problems)
		for j := range n.Endpoints {
			fill(&n.Endpoints[j].Addresses)
			fill(&n.Endpoints[j].Problems)
			fill(&n.Endpoints[j].ACLs)
			fill(&n.Endpoints[j].Ports)
		}
	}
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// passive controllers (ptcp:, pssl:) come when they please.
func (c Controller) passive() bool { return strings.HasPrefix(c.Target, "p") }

func (n Network) label() string  { return orShort(n.Name, n.ID) }
func (e Endpoint) label() string { return orShort(e.Container, e.ID) }

// orShort returns the name or else the first 12 digits of the ID, as Docker
// prints them.
func orShort(name, id string) string {
	if name != "" {
		return name
	}
	return id[:min(12, len(id))]
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return ": " + cause
}
