// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is faucetconfrpc's own, from PyPI, with a directory of its own.
type server struct {
	t       *testing.T
	program string
	keys    *ca
	dir     string // config_dir: faucet.yaml
	tmp     string // where it validates
	address string
	process *exec.Cmd
	log     bytes.Buffer // to read when the process has ended
}

// newServer starts the server with the text of a faucet.yaml, or none for "".
func newServer(t *testing.T, faucetYAML string) (*server, *Client) {
	program := os.Getenv("DOVESNAP_FAUCETCONFRPC")
	if program == "" {
		t.Skip("DOVESNAP_FAUCETCONFRPC is not set: the path of faucetconfrpc_server, from PyPI's faucetconfrpc")
	}
	s := &server{t: t, program: program, keys: keys(t), dir: t.TempDir(), tmp: t.TempDir(), address: freeAddress(t)}
	if faucetYAML != "" {
		s.write("faucet.yaml", faucetYAML)
	}
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server's log:\n%s", &s.log)
		}
	})
	return s, s.keys.client(s.address)
}

// start starts the server and returns when it answers.
func (s *server) start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	_, cert, key := KeyDir(s.keys.dir, "faucet", "faucet")
	ca, _, _ := KeyDir(s.keys.dir, "", "faucet")
	s.process = exec.Command(s.program, "--config_dir", s.dir, "--host", host, "--port", port,
		"--prom_port", "0", "--cert", cert, "--key", key, "--cacert", ca)
	s.process.Dir = s.dir // where it makes a faucet.yaml when there is none
	s.process.Env = append(os.Environ(), "TMPDIR="+s.tmp, "PYTHONWARNINGS=ignore")
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.await("an answer of "+s.program, func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// kill ends the server, without giving it time, when it runs.
func (s *server) kill() {
	if s.process.ProcessState == nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
}

func (s *server) await(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.kill()
			s.t.Fatalf("no %s; its log:\n%s", what, &s.log)
		}
	}
}

func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// validates reports whether the server works on a change.
func (s *server) validates() bool {
	files, err := os.ReadDir(s.tmp)
	return err == nil && len(files) > 0
}

// file returns the text of faucet.yaml.
func (s *server) file() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "faucet.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// manyPorts is a datapath of n ports with that ACL.
func manyPorts(n int, acl string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%d: {description: "/container%d", native_vlan: 100, acls_in: [%s]}, `, i+1, i+1, acl)
	}
	return "{dps: {many: {dp_id: 7, interfaces: {" + b.String() + "}}}}"
}
