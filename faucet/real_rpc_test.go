// SPDX-License-Identifier: Apache-2.0

package faucet

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

	"dovesnap/faucet/rpc"
	"dovesnap/spec"
)

// realServer is faucetconfrpc, from PyPI, beside a Faucet that watches its file.
type realServer struct {
	t       *testing.T
	program string
	keys    string
	address string
	faucet  *realFaucet
	cmd     *exec.Cmd
	log     bytes.Buffer
}

func newRealServer(t *testing.T, config string) *realServer {
	program := os.Getenv("DOVESNAP_FAUCETCONFRPC")
	if program == "" {
		t.Skip("DOVESNAP_FAUCETCONFRPC is not set: the path of faucetconfrpc_server, from PyPI's faucetconfrpc")
	}
	s := &realServer{t: t, program: program, keys: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), faucet: newReal(t, config, ReloadWatch)}
	s.certify()
	return s
}

// certify makes a key directory as it was laid out since 2020.
func (s *realServer) certify() {
	s.t.Helper()
	script := `set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=faucet-ca -keyout ca.key -out faucet-ca.crt
for n in faucet client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$n -addext subjectAltName=DNS:$n -keyout $n.key -out $n.csr
  openssl x509 -req -in $n.csr -CA faucet-ca.crt -CAkey ca.key -CAcreateserial -copy_extensions copy -out $n.crt
done`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = s.keys
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("cannot make certificates: %v: %s", err, out)
	}
}

func (s *realServer) start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	ca, cert, key := rpc.KeyDir(s.keys, "faucet", "faucet")
	s.cmd = exec.Command(s.program, "--config_dir", filepath.Dir(s.faucet.cfg.Config), "--host", host, "--port", port, "--prom_port", "0", "--cert", cert, "--key", key, "--cacert", ca)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+s.t.TempDir(), "PYTHONWARNINGS=ignore")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("the server's log:\n%s", &s.log)
		}
	})
}

func (s *realServer) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *realServer) courier() (c *Courier, stop func()) {
	s.t.Helper()
	ca, cert, key := rpc.KeyDir(s.keys, "client", "faucet")
	c, err := NewRPC(RPCConfig{
		Server:  rpc.Config{Address: s.address, ServerName: "faucet", CA: ca, Cert: cert, Key: key},
		Metrics: s.faucet.cfg.Metrics, Owner: "host1", State: s.faucet.cfg.State,
	}, quiet())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	stop = func() { cancel(); <-done }
	s.t.Cleanup(stop)
	return c, stop
}

// TestRealRPC begins with a Faucet that has nothing to load, and no server.
func TestRealRPC(t *testing.T) {
	s := newRealServer(t, "acls: {office: [{rule: {actions: {allow: 1}}}], exit: [{rule: {actions: {allow: 1}}}]}\ninclude: [more.yaml]\n")
	write(t, filepath.Join(filepath.Dir(s.faucet.cfg.Config), "more.yaml"), "acls: {included: [{rule: {actions: {allow: 1}}}]}\n")
	s.faucet.start()
	c, stop := s.courier()
	a := network("a", func(n *spec.Network) { n.Mode, n.NATACL = spec.NAT, "included" })
	plain := container(a, 1, nil)
	c.Want(state([]spec.Network{a}, plain), nil)
	await(t, "the problem", c, func() bool { return strings.Contains(c.Problems()["faucet"], "connection refused") })

	s.start()
	await(t, "confirmation", c, confirmed(c))
	change := func(what string, st spec.State, ok func(text string) bool) {
		t.Helper()
		began := time.Now()
		c.Want(st, nil)
		await(t, what, c, func() bool { return c.Status().Confirmed && ok(read(t, s.faucet.cfg.Config)) })
		t.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
		for _, e := range st.Endpoints {
			if !c.Settled(st.Networks[e.Network], e) {
				t.Errorf("%s: port %d is not settled", what, e.OFPort)
			}
		}
	}
	own := container(a, 2, acl("office"))
	change("an ACL", state([]spec.Network{a}, plain, own), func(text string) bool { return strings.Contains(text, "endpoint "+own.ID.Short()) })
	change("one of an included file", state([]spec.Network{a}, plain, container(a, 2, acl("included"))), func(text string) bool { return strings.Count(text, "- included") == 2 })
	change("none", state([]spec.Network{a}, plain), func(text string) bool { return !strings.Contains(text, "endpoint") })
	if cold := s.faucet.count("faucet_config_reload_cold_total", a); cold != "0.0" {
		t.Errorf("%s cold starts", cold)
	}
	b := network("123", func(n *spec.Network) { n.VLANOutACL, n.VLAN = "exit", 200 })
	change("another network", state([]spec.Network{a, b}, plain, container(b, 1, nil)), func(text string) bool { return strings.Contains(text, b.Bridge) })

	// A restart of ours and of the server; a network has gone meanwhile.
	stop()
	s.stop()
	c, _ = s.courier()
	c.Want(state([]spec.Network{b}, container(b, 70, acl("office"))), nil)
	s.start()
	await(t, "confirmation", c, confirmed(c))
	if text := read(t, s.faucet.cfg.Config); strings.Contains(text, a.Name) || !strings.Contains(text, "1-128:") || strings.Contains(text, "1-64:") {
		t.Errorf("got %s", text)
	}
	change("the end", spec.NewState(), func(text string) bool { return !strings.Contains(text, "host1: ") })
}
