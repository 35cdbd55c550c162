// SPDX-License-Identifier: Apache-2.0

// Demo performs the README's main job before your eyes and leaves it running.
//
//	demo up BINARY          start everything, create a network, run two containers
//	demo shell [COMMAND…]   a shell in the demo, where docker, ovs-vsctl … work
//	demo down               remove every trace
//
// All of it happens on a test host (package host): this machine's kernel, but
// processes, network, mounts and root file system of its own, with Docker and
// Open vSwitch of this machine's Debian release. Why not on the machine itself?
// A demo that installs docker.io and openvswitch-switch starts two daemons and
// enables them for every boot, and one that finds them there would add its
// networks, rules and plugin to what somebody works with. Neither could be
// taken back for certain. A host of its own can: it ends as a whole.
//
// Nothing remembers a running demo: its init is found by its arguments, and all
// of its files are in one directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root; use sudo")
	}
	switch {
	case len(args) == 2 && args[0] == "up":
		return up(ctx, args[1])
	case len(args) >= 1 && args[0] == "shell":
		return shell(args[1:])
	case len(args) == 1 && args[0] == "down":
		return down()
	}
	return errors.New("usage: demo up BINARY | shell [COMMAND…] | down")
}
