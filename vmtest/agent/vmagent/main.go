// SPDX-License-Identifier: Apache-2.0

// Command vmagent is the agent in a guest of vmtest: it serves the virtio-serial
// port of its name.
package main

import (
	"context"
	"log"
	"os"

	"dovesnap/vmtest/agent"
)

func main() {
	log.SetFlags(0)
	// What the commands that it runs start with: as root would have it.
	for name, value := range map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
	} {
		os.Setenv(name, value)
	}
	port, err := agent.OpenPort(context.Background(), "vmagent")
	if err == nil {
		err = agent.Serve(port)
	}
	log.Fatal(err)
}
