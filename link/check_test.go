// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovesnap/spec"

	"golang.org/x/sys/unix"
)

func TestCheckMigration(t *testing.T) {
	for name, c := range map[string]struct {
		host   []string // commands of ip
		change func(*spec.Network)
		want   string // in the error; "" for none
	}{
		"default route":            {},
		"nothing to move":          {host: []string{"addr flush dev eth7"}},
		"several uplinks":          {change: func(n *spec.Network) { n.Uplinks = append(n.Uplinks, spec.Uplink{Name: "spare"}) }},
		"two that carry something": {[]string{"addr add 198.18.0.1/24 dev spare"}, func(n *spec.Network) { n.Uplinks = append(n.Uplinks, spec.Uplink{Name: "spare"}) }, `cannot migrate ports "eth7" and "spare"`},
		"a coprocessor port":       {change: func(n *spec.Network) { n.Uplinks[0].Coprocessor = true }, want: `cannot add port "eth7": it carries the host's default route`},
		"not asked for":            {change: func(n *spec.Network) { n.MigrateUplinks = false }, want: "ovs.bridge.add_ports_force=migrate"},
		"a gateway of the LAN's":   {change: func(n *spec.Network) { n.Mode, n.Subnets = spec.NAT, subnets("192.0.2.128/25") }, want: "overlaps 192.0.2.5/24"},
		"a bridge's port":          {host: []string{"link add br0 type bridge", "link set eth7 master br0"}, want: "it is a port of br0 already"},
		"nexthop objects": {host: []string{"nexthop add id 7 via 192.0.2.1 dev eth7", "route add 203.0.113.0/24 nhid 7"},
			want: `cannot migrate port "eth7": its route to 203.0.113.0/24 is by a nexthop object`},
		"a routing rule":        {host: []string{"rule add pref 77 iif eth7 table 7"}, want: "routing rule 77 names it"},
		"too long packets":      {change: func(n *spec.Network) { n.MTU = 1501 }, want: "its MTU is 1500"},
		"too short packets":     {change: func(n *spec.Network) { n.MTU = 1499 }, want: "ovs.bridge.mtu=1500"},
		"the same MTU":          {host: []string{"link set eth7 mtu 9000"}, change: func(n *spec.Network) { n.MTU = 9000 }},
		"long packets":          {host: []string{"link set eth7 mtu 9000"}, want: "ovs.bridge.mtu=9000"},
		"short packets":         {host: []string{"link set eth7 mtu 1400"}},
		"another MAC":           {change: func(n *spec.Network) { n.LocalMAC = "0e:00:00:00:00:01" }, want: "must have its MAC address 02:00:5e:00:53:07"},
		"controller there":      {change: controller("tcp:203.0.113.9:6653"), want: `controller "tcp:203.0.113.9:6653" is behind it`},
		"controller on the LAN": {change: controller("ssl:[2001:db8::9]:6653"), want: "is behind it"},
		"no port":               {change: controller("tcp:192.0.2.1"), want: "is behind it"},
		"controller by name":    {change: controller("tcp:faucet.example:6653"), want: "give the controller's IP address"},
		"controller elsewhere":  {change: controller("tcp:198.19.0.2:6653")},
		"controller here":       {change: controller("tcp:192.0.2.5:6653")},
		"controller by socket":  {change: controller("unix:/run/faucet.sock")},
		"passive controller":    {change: controller("ptcp:6653")},
		"controller nowhere":    {host: []string{"route del default"}, change: controller("tcp:203.0.113.9:6653")},
	} {
		t.Run(name, func(t *testing.T) {
			n, l, _ := migrating(t)
			ip(t, "link add spare type veth peer spare0", "addr add 192.0.2.5/24 dev eth7", "addr add 2001:db8::5/64 dev eth7 nodad", "route add default via 192.0.2.1 dev eth7")
			ip(t, c.host...)
			if c.change != nil {
				c.change(&n)
			}
			if err := l.CheckNetwork(deadline(t), n); c.want != "" {
				wantError(t, err, c.want)
			} else {
				must(t, err)
			}
		})
	}
}

func controller(target string) func(*spec.Network) {
	return func(n *spec.Network) { n.Controllers = []spec.Controller{spec.Controller(target)} }
}

func TestUplinkMAC(t *testing.T) {
	n, l, _ := migrating(t)
	n.LocalMAC = ""
	n.Uplinks = []spec.Uplink{{Name: "absent"}, {Name: "other0", Coprocessor: true}, {Name: "other0"}, {Name: "eth7"}}
	ip(t, "addr add 192.0.2.5/24 dev eth7")
	for migrate, want := range map[bool]spec.MAC{true: "02:00:5e:00:53:07", false: ""} {
		n.MigrateUplinks = migrate
		got, err := l.UplinkMAC(deadline(t), n)
		must(t, err)
		if got != want {
			t.Errorf("%t: %s, want %s", migrate, got, want)
		}
	}
}

// Which interface it was is told by the MAC, once its addresses are on the bridge,
// and without a record.
func TestReturnWithoutRecord(t *testing.T) {
	n, l, _ := migrating(t)
	l.records = ""
	n.Uplinks = []spec.Uplink{{Name: "other0"}, {Name: "eth7"}}
	ip(t, carried...)
	before := snapshot(t)
	plug(t)
	must(t, ensure(l, deadline(t), n))
	must(t, l.ReturnUplinks(deadline(t), n))
	unplug(t)
	must(t, l.ReleaseNetwork(deadline(t), n))
	same(t, before, "without a record")
}

// What a DHCP client renews on the interface goes to the bridge, with its lifetimes.
func TestRenewedOnTheInterface(t *testing.T) {
	n, l, _ := migrating(t)
	var log bytes.Buffer
	l.log = slog.New(slog.NewTextHandler(&log, nil))
	ip(t, "addr add 192.0.2.5/24 dev eth7 valid_lft 100 preferred_lft 100", "addr add 2001:db8::5/64 dev eth7 valid_lft 100 preferred_lft 100")
	plug(t)
	must(t, ensure(l, deadline(t), n))
	ip(t, "addr add 192.0.2.5/24 dev eth7 valid_lft 9000 preferred_lft 9000", "addr add 2001:db8::5/64 dev eth7 valid_lft 9000 preferred_lft 9000")
	must(t, ensure(l, deadline(t), n))
	if left := globals(t, "eth7"); len(left) > 0 {
		t.Errorf("left on the interface: %v", left)
	}
	if out := run(t, "ip addr show dev br9"); strings.Contains(out, "valid_lft 100sec") || strings.Contains(out, "valid_lft 99sec") {
		t.Error("not renewed:", out)
	}
	if !strings.Contains(log.String(), "somebody configured the interface again") {
		t.Error(log.String())
	}
}

// The gateway's own addresses and their routes stay on the bridge.
func TestReturnLeavesGateways(t *testing.T) {
	n, l, _ := migrating(t)
	n.Mode, n.Subnets = spec.NAT, subnets("172.12.0.1/24", "fd00:12::1/64")
	ip(t, carried...)
	before := snapshot(t)
	plug(t)
	must(t, ensure(l, deadline(t), n))
	for range 2 {
		must(t, l.ReturnUplinks(deadline(t), n))
		if got := strings.Join(globals(t, "br9"), " "); got != "172.12.0.1/24 fd00:12::1/64" {
			t.Error("the bridge has", got)
		}
	}
	unplug(t)
	must(t, l.ReleaseNetwork(deadline(t), n))
	same(t, before, "with gateways")
}

// The network's gateway needs IPv6 on the bridge. The interface it stands in for had
// none: no router of the LAN gives the bridge an address, which the interface would get
// back. What somebody put on the bridge by hand it does get, and IPv6 with it.
func TestMigrationWithoutIPv6(t *testing.T) {
	for off, byHand := range map[string][]string{"1": nil, "0": {"2001:db8::5/64"}} {
		t.Run(off, func(t *testing.T) {
			n, l, _ := migrating(t)
			n.Mode, n.Subnets = spec.NAT, subnets("172.12.0.1/24", "fd00:12::1/64")
			must(t, setIPv6("eth7", "disable_ipv6", "1"))
			ip(t, "addr add 192.0.2.5/24 dev eth7", "route add default via 192.0.2.1 dev eth7")
			plug(t)
			for range 2 {
				must(t, ensure(l, deadline(t), n))
				if ra := sysctl(t, "br9", "accept_ra"); ra != "0" {
					t.Errorf("accept_ra of the bridge is %s", ra)
				}
			}
			for _, address := range byHand {
				addAddress(t, "br9", address)
			}
			must(t, l.ReturnUplinks(deadline(t), n))
			unplug(t)
			for range 2 {
				must(t, l.ReleaseNetwork(deadline(t), n))
				if is := sysctl(t, "eth7", "disable_ipv6"); is != off {
					t.Errorf("disable_ipv6 of the interface is %s", is)
				}
				if got, want := globals(t, "eth7"), append([]string{"192.0.2.5/24"}, byHand...); !slices.Equal(got, want) {
					t.Errorf("the interface has %v, want %v", got, want)
				}
			}
		})
	}
}

func TestRelabel(t *testing.T) {
	for label, want := range map[string]string{"eth7": "dsb012345678901", "eth7:1": "eth7:1", "eth70": "eth70", "": ""} {
		if got := relabel(label, "eth7", "dsb012345678901"); got != want {
			t.Errorf("%q: %q", label, got)
		}
	}
}

// An address that expired while its bridge was away does not come back.
func TestAged(t *testing.T) {
	lft := item{Kind: unix.RTM_NEWADDR, Attrs: []attr{{unix.IFA_CACHEINFO, []byte{10, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}}}
	forever := item{Kind: unix.RTM_NEWADDR, Attrs: []attr{{unix.IFA_CACHEINFO, bytes.Repeat([]byte{255}, 16)}}}
	route := item{Kind: unix.RTM_NEWROUTE, Attrs: []attr{{unix.RTA_EXPIRES, []byte{20, 0, 0, 0}}}}
	for seconds, alive := range map[uint32]bool{0: true, 15: true, 20: false, 50: false} {
		for k, i := range []item{lft, forever, route} {
			if _, ok := i.aged(seconds); ok != (alive || k == 1) {
				t.Errorf("item %d after %d s: %t", k, seconds, ok)
			}
		}
	}
}

func TestManager(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"run/systemd/netif/links/3":    "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n",
		"run/systemd/netif/links/4":    "ADMIN_STATE=unmanaged\n",
		"run/NetworkManager/devices/4": "[device]\nmanaged=true\n",
		"run/NetworkManager/devices/5": "[device]\nmanaged=false\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	for index, want := range map[int]string{3: "systemd-networkd", 4: "NetworkManager", 5: "", 6: ""} {
		if got := manager(root, index); got != want {
			t.Errorf("%d: %q", index, got)
		}
	}
}
