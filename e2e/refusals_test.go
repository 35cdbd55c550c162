// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// What is refused is refused at once, with one line that names the reason, and
// leaves nothing.
func TestRefusedNetworks(t *testing.T) {
	h := newHost(t, host.Suites[len(host.Suites)-1])
	h.ready()
	h.dovesnap()
	h.docker(strings.Fields("network create taken -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x7 -o ovs.bridge.name=takenbr --subnet 172.14.0.0/24")...)
	h.run("ip", "link", "add", "hostlink", "type", "bridge")
	h.run("ip", "link", "add", "addressed", "type", "veth", "peer", "name", "peer0")
	h.run("ip", "addr", "add", "192.0.2.9/24", "dev", "addressed")
	before := h.snapshot()
	for _, test := range []struct {
		name string
		args string
		want []string // parts of the message
	}{
		{"bad value", "-o ovs.bridge.mode=bridged", []string{"ovs.bridge.mode", `"bridged"`, "flat, nat or routed"}},
		{"unknown option", "-o ovs.bridge.controler=tcp:127.0.0.1:6653", []string{"ovs.bridge.controler", "did you mean ovs.bridge.controller"}},
		{"all bad options at once", "-o ovs.bridge.mtu=1 -o ovs.bridge.vlan=5000", []string{"ovs.bridge.mtu", "ovs.bridge.vlan"}},
		{"option for later", "-o ovs.bridge.dhcp=true", []string{"ovs.bridge.dhcp", "not available yet"}},
		{"duplicate datapath id", "-o ovs.bridge.dpid=7", []string{"ovs.bridge.dpid", "0x7", `"taken"`}},
		{"duplicate bridge name", "-o ovs.bridge.name=takenbr", []string{"ovs.bridge.name", `"takenbr"`, `"taken"`}},
		{"bridge name of a link", "-o ovs.bridge.name=hostlink", []string{`"hostlink"`}},
		{"interface with an address", "-o ovs.bridge.add_ports=addressed", []string{`"addressed"`, "192.0.2.9/24"}},
		{"interface with the default route", "-o ovs.bridge.add_ports=" + host.Uplink, []string{`"` + host.Uplink + `"`, "default route"}},
		{"no such interface", "-o ovs.bridge.add_ports=nosuch0", []string{`"nosuch0"`, "no such interface"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := h.in(t)
			out, err := h.try(append([]string{"docker", "network", "create", "refused", "-d", "ovs"}, strings.Fields(test.args)...)...)
			if err == nil {
				h.docker("network", "rm", "refused")
				t.Fatalf("network is created: %s", out)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message lacks %s: %v", want, err)
				}
			}
			h.nothingLeftSince(before)
		})
	}
	t.Run("publishing a port of a flat network", func(t *testing.T) {
		h := h.in(t)
		h.docker(strings.Fields("network create flat -d ovs --subnet 172.15.0.0/24 --gateway 172.15.0.1")...)
		h.container("plain", "flat")
		h.docker("rm", "-f", "plain")
		before := h.snapshot()
		out, err := h.try("docker", "run", "-td", "--name=refused", "--net=flat", "-p", "8080:80", "busybox")
		if err == nil || !strings.Contains(err.Error(), "cannot publish port 0.0.0.0:8080/tcp: the network's mode is flat") {
			t.Errorf("docker run says %q, %v", out, err)
		}
		h.docker("rm", "-f", "refused")
		h.nothingLeftSince(before)
		h.docker("network", "rm", "flat")
	})
}

// A daemon that cannot do its work says so in one line and ends.
func TestRefusedStart(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(h *testHost)
		want    string
	}{
		{"missing Open vSwitch", func(h *testHost) {
			h.run("rm", "/usr/sbin/ovs-vswitchd", "/usr/lib/openvswitch-switch/ovs-vswitchd")
		}, "ovs-vswitchd"},
		{"unknown key", func(h *testHost) { h.config("ovs:\n  moode: auto\n") }, "moode"},
		{"bad value", func(h *testHost) { h.config("ovs:\n  mode: mine\n") }, "mine"},
		{"not YAML", func(h *testHost) { h.config("ovs: [\n") }, "dovesnap.yaml"},
		{"unreadable", func(h *testHost) { h.run("mkdir", "-p", "/etc/dovesnap/dovesnap.yaml") }, "dovesnap.yaml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, host.Suites[0])
			if err := h.Install(must[string](t)(binary()), host.Program); err != nil {
				t.Fatal(err)
			}
			test.prepare(h)
			before := h.snapshot()
			out, err := h.try(host.Program, "run")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("dovesnap run says %q, %v; want an error that names %s", out, err, test.want)
			}
			// A start that got as far as looking for programs has made these.
			h.nothingLeftSince(before, "/run/dovesnap", "/run/docker")
		})
	}
}

// config writes dovesnap's configuration file.
func (h *testHost) config(text string) {
	h.t.Helper()
	if err := h.WriteFile("/etc/dovesnap/dovesnap.yaml", text, 0o644); err != nil {
		h.t.Fatal(err)
	}
}
