// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"time"

	"dovesnap/vmtest/agent"
)

// bootLimit is how long a boot or an installation may take, with what waits for
// Docker in it, on a machine that has other work too.
const bootLimit = 15 * time.Minute

// Reboot reboots the guest as an administrator does, and returns when the boot has
// finished, with or without failed units.
func (g *Guest) Reboot() {
	g.t.Helper()
	g.RebootAgent()
	g.Booted()
}

// RebootAgent reboots the guest, and returns when the agent answers: early, before
// Docker and Open vSwitch.
func (g *Guest) RebootAgent() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), bootLimit)
	defer cancel()
	before := g.m.agent.BootID
	call, err := g.m.agent.Start(agent.Command{Argv: []string{"systemctl", "--no-block", "reboot"}})
	if err != nil {
		g.t.Fatal(err)
	}
	// The agent may not live to tell; a new conversation would kill what is still
	// to ask for the reboot.
	select {
	case <-call.Done():
	case <-time.After(10 * time.Second):
	}
	if err := g.m.reconnect(ctx, before); err != nil {
		g.t.Fatalf("cannot reboot: %v", err)
	}
}

// PowerCut ends the guest at once, and starts it again on the disk as it is then;
// it returns when the agent answers: early, before Docker and Open vSwitch.
func (g *Guest) PowerCut() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), bootLimit)
	defer cancel()
	if err := g.m.kill(); err != nil {
		g.t.Fatal(err)
	}
	if err := g.m.start(ctx, ""); err != nil {
		g.t.Fatalf("cannot start after a power cut: %v", err)
	}
}

// Booted waits until the boot has finished, with or without failed units.
func (g *Guest) Booted() {
	g.t.Helper()
	g.Slow(bootLimit, waitForBoot)
}
