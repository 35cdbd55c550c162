// SPDX-License-Identifier: Apache-2.0

// Command dovesnap connects Docker containers to Open vSwitch and Faucet.
package main

import (
	"os"

	"dovesnap/cli"
	"dovesnap/daemon"
	"dovesnap/plugin"
)

func main() {
	actions := cli.Actions{
		Run: daemon.Run, Refuse: plugin.Refuse,
		Down: daemon.Down, Cleanup: daemon.Cleanup,
		OVSRestart: daemon.RestartOVS, OVSSave: daemon.SaveFlows, OVSRun: daemon.RunOVS, OVSReady: daemon.AwaitOVS,
		FaucetInit: daemon.FaucetInit,
	}
	os.Exit(cli.Execute(actions, os.Args[1:], os.Stdout, os.Stderr))
}
