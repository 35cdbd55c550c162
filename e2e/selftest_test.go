// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// The tests of this file prove the hosts, without dovesnap.

func TestHostDockerBridge(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.dockerd()
		h.docker("run", "--rm", "busybox", "true")
		before := h.snapshot()

		h.docker("network", "create", "--subnet=172.30.0.0/24", "plain")
		h.docker("run", "-td", "--name=one", "--net=plain", "busybox")
		h.docker("run", "-td", "--name=two", "--net=plain", "busybox")
		if during := h.snapshot(); during == before {
			t.Error("snapshot does not see a network and two containers")
		}
		if _, err := h.exec("one", "ping", "-c1", "-W5", "two"); err != nil {
			t.Error(err)
		}
		if _, err := h.exec("one", "ping", "-c1", "-W5", host.OutsideName); err != nil {
			t.Error(err)
		}
		seen, err := h.exec("two", "nc", host.OutsideAddress, "80")
		if err != nil || seen != host.HostAddress {
			t.Errorf("outside sees %q, %v; want %q", seen, err, host.HostAddress)
		}

		h.docker("rm", "-f", "one", "two")
		h.docker("network", "rm", "plain")
		h.nothingLeftSince(before)
	})
}

// faucetYAML is the configuration of the main job.
const faucetYAML = `dps:
  docker-ovs:
    dp_id: 0x1
    hardware: Open vSwitch
    interfaces:
      0xfffffffe:
        native_vlan: 100
    interface_ranges:
      1-10:
        native_vlan: 100
`

func TestHostFaucet(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		if _, err := h.StartOpenVSwitch(h.ctx); err != nil {
			t.Fatal(err)
		}
		f := h.faucet(faucetYAML)
		h.run("ovs-vsctl", "--timeout=20", "add-br", "br0", "--",
			"set", "Bridge", "br0", "datapath_type=netdev", "fail_mode=secure", "other_config:datapath-id=0000000000000001", "--",
			"set-controller", "br0", "tcp:127.0.0.1:6653")
		for _, n := range []string{"1", "2"} {
			for _, args := range []string{
				"netns add ns" + n,
				"link add p" + n + " type veth peer name eth0 netns ns" + n,
				"link set p" + n + " up",
				"-n ns" + n + " addr add 10.0.0." + n + "/24 dev eth0",
				"-n ns" + n + " link set eth0 up",
			} {
				h.run(append([]string{"ip"}, strings.Fields(args)...)...)
			}
			h.run("ovs-vsctl", "--timeout=20", "add-port", "br0", "p"+n, "--", "set", "Interface", "p"+n, "ofport_request="+n)
		}
		if err := f.AwaitDP(t.Context(), "docker-ovs"); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "a ping through Faucet", func() error {
			_, err := h.try("ip", "netns", "exec", "ns1", "ping", "-c1", "-W1", "10.0.0.2")
			return err
		})
	})
}

// A host that is switched off and on keeps its disk and nothing else.
func TestHostPowerCycle(t *testing.T) {
	h := newHost(t, host.Suites[0])
	h.dockerd()
	bootID := h.run("cat", "/proc/sys/kernel/random/boot_id")
	pristine := h.run("ls", "/run", "/tmp")
	if err := h.WriteFile("/etc/kept", "kept", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile("/run/lost", "lost", 0o644); err != nil {
		t.Fatal(err)
	}
	h.run("ip", "link", "add", "lost", "type", "bridge")
	container := h.docker("run", "-td", "--name=one", "busybox")

	h.powerCycle()
	if got := h.run("cat", "/proc/sys/kernel/random/boot_id"); got == bootID {
		t.Error("boot id is the same")
	}
	if got := h.run("ls", "/run", "/tmp"); strings.Contains(got, "lost") {
		t.Errorf("/run and /tmp hold %q; before %q", got, pristine)
	}
	if got := h.run("ip", "link"); strings.Contains(got, "lost") || strings.Contains(got, "docker0") {
		t.Errorf("links are left: %s", got)
	}
	if got, err := h.ReadFile("/etc/kept"); err != nil || got != "kept" {
		t.Errorf("file is %q, %v", got, err)
	}
	h.dockerd()
	if got := h.docker("ps", "-aq", "--no-trunc"); got != container {
		t.Errorf("containers are %q, want %q", got, container)
	}
	h.docker("start", "one")
}
