// SPDX-License-Identifier: Apache-2.0

// Venv prints the path of the Python environment of a program that tests need,
// faucet or faucetconfrpc, and makes it in the tests' cache where it is missing.
package main

import (
	"context"
	"fmt"
	"os"

	"dovesnap/e2e/host"
)

func main() {
	get := host.FaucetVenv
	if len(os.Args) == 2 && os.Args[1] == "faucetconfrpc" {
		get = host.FaucetConfRPCVenv
	}
	path, err := get(context.Background(), host.CacheDir(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
