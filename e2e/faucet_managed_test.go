// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"dovesnap/e2e/host"
)

// managedFile are the flags of a daemon that writes Faucet's file and sends it a HUP.
var managedFile = []string{"--faucet-mode=file", "--faucet-reload=pidfile:" + host.FaucetPIDFile}

// watchedRPC are those of one that tells faucetconfrpc, for a Faucet that watches its
// files, and managedRPC for one that gets a HUP as well.
var watchedRPC = []string{"--faucet-mode=rpc", "--faucet-rpc-address=" + host.FaucetConfRPCAddress,
	"--faucet-rpc-server-name=faucetconfrpc", "--faucet-rpc-keydir=" + host.FaucetDir}

var managedRPC = append([]string{"--faucet-reload=pidfile:" + host.FaucetPIDFile}, watchedRPC...)

// A managedSite is a host whose Faucet dovesnap configures, in one of two ways.
type managedSite struct {
	*testHost
	mode            string // file, rpc, or "rpc, watch"
	dockerd, daemon *host.Process
	faucet          *host.Faucet
	server          *host.Process // faucetconfrpc, but in mode file
}

// eachManaged runs test in each suite with mode file, and in one with mode rpc: what
// is different there is not Docker's.
func eachManaged(t *testing.T, config string, test func(t *testing.T, s *managedSite)) {
	run := func(mode, suite string) {
		t.Run(mode+" "+suite, func(t *testing.T) {
			t.Parallel()
			test(t, newHost(t, suite).managed(mode, config))
		})
	}
	for _, suite := range host.Suites {
		run("file", suite)
	}
	run("rpc", host.Suites[1])
}

// managed starts everything, Faucet with config, an operator's faucet.yaml.
func (h *testHost) managed(mode, config string) *managedSite {
	h.t.Helper()
	s := &managedSite{testHost: h, mode: mode}
	s.startDocker()
	h.docker("run", "--rm", "busybox", "true")
	if mode != "file" {
		h.keys("faucetconfrpc")
	}
	s.startFaucet(config)
	if mode != "file" {
		s.startServer()
	} else {
		if err := h.Install(must[string](h.t)(binary()), host.Program); err != nil {
			h.t.Fatal(err)
		}
		h.run(host.Program, "faucet", "init")
	}
	s.startDaemon()
	return s
}

func (s *managedSite) startDocker() { s.dockerd = s.testHost.dockerd() }

func (s *managedSite) startDaemon() {
	s.t.Helper()
	s.daemon = s.dovesnap(s.flags()...)
}

func (s *managedSite) flags() []string {
	return map[string][]string{"file": managedFile, "rpc": managedRPC, "rpc, watch": watchedRPC}[s.mode]
}

// startFaucet starts it with config, or with the one that is there.
func (s *managedSite) startFaucet(config string) {
	s.t.Helper()
	watch := "0"
	if s.mode == "rpc, watch" {
		watch = "1"
	}
	s.faucet = s.testHost.faucet(config, "FAUCET_CONFIG_STAT_RELOAD="+watch)
}

func (s *managedSite) startServer() { s.server = s.confRPC() }

// confRPC starts faucetconfrpc over the host's FaucetDir.
func (h *testHost) confRPC() *host.Process {
	h.t.Helper()
	venv, err := host.FaucetConfRPCVenv(h.ctx, host.CacheDir(), os.Stderr)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	p, err := h.StartFaucetConfRPC(ctx, venv, h.FaucetPath("faucetconfrpc-ca.crt"), h.FaucetPath("faucetconfrpc.crt"), h.FaucetPath("faucetconfrpc.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// told is what Faucet is told: the file that dovesnap writes, or the one that
// faucetconfrpc keeps.
func (s *managedSite) told() string {
	text, _ := s.ReadFile(s.toldIn())
	return text
}

func (s *managedSite) toldIn() string {
	if s.mode == "file" {
		return host.FaucetDir + "/dovesnap.yaml"
	}
	return host.FaucetDir + "/faucet.yaml"
}

// isTold waits until Faucet is told of everything in with, and of nothing in without.
func (s *managedSite) isTold(with []string, without ...string) {
	s.t.Helper()
	eventually(s.t, patience, "Faucet to be told", func() error {
		text := s.told()
		for _, part := range with {
			if !strings.Contains(text, part) {
				return fmt.Errorf("%q is not in\n%s", part, text)
			}
		}
		for _, part := range without {
			if strings.Contains(text, part) {
				return fmt.Errorf("%q is in\n%s", part, text)
			}
		}
		return nil
	})
}

// createManaged makes a network whose Faucet dovesnap configures.
func (h *testHost) createManaged(name string, subnet int, more ...string) {
	h.t.Helper()
	args := append([]string{"network", "create", "-d", "ovs", "-o", "ovs.bridge.mode=nat", "-o", "ovs.bridge.controller=tcp:127.0.0.1:6653",
		fmt.Sprintf("--subnet=172.%d.0.0/24", subnet), fmt.Sprintf("--gateway=172.%d.0.1", subnet)}, more...)
	h.docker(append(args, name)...)
}

// says waits until status says text, and returns all that it says.
func (h *testHost) says(text string) (all string) {
	h.t.Helper()
	eventually(h.t, patience, "status to tell", func() error {
		out, err := h.try(host.Program, "status")
		if all = out; !strings.Contains(out, text) {
			return fmt.Errorf("%q is not in (%v)\n%s", text, err, out)
		}
		return nil
	})
	return all
}

// isWell waits until status knows of nothing that is wrong.
func (h *testHost) isWell() {
	h.t.Helper()
	eventually(h.t, patience, "all to be well", func() error {
		if out, err := h.try(host.Program, "status"); err != nil {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}

// isHeld tells whether some container is held until its ACL is in force.
func (h *testHost) isHeld() bool {
	out, _ := h.try(host.Program, "status", "--json")
	return strings.Contains(out, `"held": true`)
}
