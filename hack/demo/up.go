// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dovesnap/e2e/host"
)

// patience bounds each step after the downloads.
const patience = 2 * time.Minute

// The demo's host name and its one directory; tests have a demo of their own.
var (
	name     = cmp.Or(os.Getenv("DOVESNAP_DEMO"), "dovesnap-demo")
	stateDir = filepath.Join("/var/lib", filepath.Base(name))
)

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

// A step of the main job is a command as a person would type it.
type step struct {
	why     string // said before it, if not ""
	command string
	// patient says that it may fail at first: Faucet needs a moment, which a
	// person would not notice, to set up a switch that is new to it.
	patient bool
}

// mainJob is what the README promises, word for word, and proofs of it.
var mainJob = []step{
	{why: "create a network whose switch Faucet controls",
		command: "docker network create mynet -d ovs -o ovs.bridge.mode=nat -o ovs.bridge.dpid=0x1 -o ovs.bridge.controller=tcp:127.0.0.1:6653" +
			" --subnet 172.12.0.0/24 --ip-range=172.12.0.8/29 --gateway=172.12.0.1"},
	{why: "run two containers on it", command: "docker run -td --net=mynet busybox"},
	{command: "docker run -td --net=mynet busybox"},
	{why: "what Docker knows", command: "docker network inspect mynet"},
	{why: "what Open vSwitch knows", command: "ovs-vsctl show"},
	{why: "one container pings the other, through Faucet's flows", command: "docker exec $(docker ps -lq) ping -c3 172.12.0.8", patient: true},
	{why: "and its gateway", command: "docker exec $(docker ps -lq) ping -c3 172.12.0.1", patient: true},
	{why: "and reaches a machine outside, which answers with the address it sees: the host's",
		command: "docker exec $(docker ps -lq) nc " + host.OutsideAddress + " 80", patient: true},
	{why: "what dovesnap knows; status fails while the controller is not connected", command: "dovesnap status", patient: true},
	{why: "the flows that Faucet installed", command: "ovs-ofctl -OOpenFlow13 --names --no-stats dump-flows $(ovs-vsctl list-br) | head -n 12"},
}

// up starts the demo. What fails half-way is ended again; files that were
// downloaded stay for the next try, until down.
func up(ctx context.Context, binary string) (err error) {
	if h, err := host.Find(name); err != nil {
		return err
	} else if h != nil {
		fmt.Println("the demo runs already")
		advise()
		return nil
	}
	cache := os.Getenv("DOVESNAP_TEST_CACHE")
	if cache == "" {
		cache = filepath.Join(stateDir, "cache")
	}
	root, err := host.Rootfs(ctx, cache, suite(), os.Stdout)
	if err != nil {
		return err
	}
	venv, err := host.FaucetVenv(ctx, cache, os.Stdout)
	if err != nil {
		return err
	}
	logs := filepath.Join(stateDir, "logs")
	if err := os.RemoveAll(logs); err != nil {
		return err
	}
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	h, err := host.New(host.Options{Root: root, Logs: logs, Name: name})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := h.BootDetached(); err != nil {
		return err
	}
	if err := start(ctx, h, binary, venv); err != nil {
		return err
	}
	for _, s := range mainJob {
		if err := s.show(ctx, h); err != nil {
			return err
		}
	}
	advise()
	return nil
}

// start starts the daemons, in the order in which a machine boots them.
func start(ctx context.Context, h *host.Host, binary, venv string) error {
	for _, daemon := range []struct {
		what  string
		start func(context.Context) error
	}{
		{"dovesnap, which starts Open vSwitch", func(ctx context.Context) error { _, err := h.StartDovesnap(ctx, binary); return err }},
		{"Docker", func(ctx context.Context) error { _, err := h.StartDockerd(ctx); return err }},
		{"Faucet", func(ctx context.Context) error { _, err := h.StartFaucet(ctx, venv, faucetYAML); return err }},
		{"an image (busybox, made here; no registry is asked)", h.ImportBusybox},
	} {
		fmt.Println("starting", daemon.what)
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := daemon.start(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// show runs one step and shows what it prints.
func (s step) show(ctx context.Context, h *host.Host) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.why != "" {
		fmt.Printf("\n# %s\n", s.why)
	}
	fmt.Printf("$ %s\n", s.command)
	var out string
	run := func() (err error) {
		out, err = h.Run(ctx, "sh", "-c", s.command)
		return err
	}
	var err error
	if s.patient {
		err = host.Await(ctx, "this command to succeed", run)
	} else {
		err = run()
	}
	fmt.Print(out)
	return err
}

func advise() {
	fmt.Print(`
It is left running. Look around:
    sudo make demo-shell     a shell in the demo: docker ps, ovs-vsctl show, dovesnap status
    ` + stateDir + `/logs     what the daemons and Faucet print
Remove every trace:
    sudo make demo-down
`)
}

// suite returns this machine's Debian release if there are hosts of it.
func suite() string {
	file, err := os.Open("/etc/os-release")
	if err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			codename, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME=")
			for _, s := range host.Suites {
				if ok && codename == s {
					return s
				}
			}
		}
	}
	return host.Suites[1]
}
