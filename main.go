// SPDX-License-Identifier: Apache-2.0

// Command dovesnap connects Docker containers to Open vSwitch and Faucet.
package main

import (
	"os"

	"dovesnap/cli"
	"dovesnap/daemon"
)

func main() {
	os.Exit(cli.Execute(cli.Actions{Run: daemon.Run, Down: daemon.Down, Cleanup: daemon.Cleanup}, os.Args[1:], os.Stdout, os.Stderr))
}
