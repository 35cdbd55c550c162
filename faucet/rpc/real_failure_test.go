// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestServerFromNothing: without a faucet.yaml the server makes one, of null.
func TestServerFromNothing(t *testing.T) {
	s, c := newServer(t, "")
	ctx := context.Background()
	if yaml, err := c.Config(ctx); err != nil || yaml != "dps: null\n" || s.file() != "dps:" {
		t.Errorf("Config: %q, %v; file %q", yaml, err, s.file())
	}
	if err := c.DeleteDPs(ctx, []string{"net"}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "Unknown: Exception calling application: ") {
		t.Errorf("DeleteDPs: %v", err)
	}
	if err := c.Merge(ctx, "{dps: {net: {dp_id: 1, interfaces: {1: {native_vlan: 100}}}}}"); err != nil {
		t.Error(err)
	}
	if want := "dps:\n  net:\n    dp_id: 1\n    interfaces:\n      1:\n        native_vlan: 100\n"; s.file() != want {
		t.Errorf("got %s", s.file())
	}
}

// TestServerKilled: a server that dies within a call has changed nothing, and the
// next one carries out the same call.
func TestServerKilled(t *testing.T) {
	s, c := newServer(t, operators)
	s.write("acls.yaml", "acls: {web: [{rule: {actions: {allow: 1}}}]}\n")
	ctx, merge := context.Background(), manyPorts(500, "web")
	done := make(chan error, 1)
	go func() { done <- c.Merge(ctx, merge) }()
	s.await("validation", s.validates)
	s.kill()
	if err := <-done; !errors.Is(err, ErrUnreachable) {
		t.Errorf("killed: %v", err)
	}
	if s.file() != operators {
		t.Errorf("killed, the server has written:\n%s", s.file())
	}
	if err := c.Merge(ctx, merge); !errors.Is(err, ErrUnreachable) {
		t.Errorf("dead: %v", err)
	}
	s.start()
	if err := c.Merge(ctx, merge); err != nil {
		t.Error(err)
	}
	if n := strings.Count(s.file(), "- web"); n != 500 {
		t.Errorf("%d ports have the ACL", n)
	}
}

// TestServerLate: what the server works on when the client gives up is carried
// out all the same.
func TestServerLate(t *testing.T) {
	s, c := newServer(t, operators)
	s.write("acls.yaml", "acls: {web: [{rule: {actions: {allow: 1}}}]}\n")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Merge(ctx, manyPorts(500, "web")) }()
	s.await("validation", s.validates)
	cancel()
	if err := <-done; !errors.Is(err, ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
	s.await("change", func() bool { return strings.Count(s.file(), "- web") == 500 })
}

// TestServerOfOthers: a certificate that the server does not accept.
func TestServerOfOthers(t *testing.T) {
	s, c := newServer(t, operators)
	stranger := keys(t)
	_, c.cfg.Cert, c.cfg.Key = KeyDir(stranger.dir, "dovesnap", "")
	_, err := c.Config(context.Background())
	if !errors.Is(err, ErrUnreachable) || !strings.HasSuffix(err.Error(), fmt.Sprintf("(perhaps the server does not accept certificate %q)", c.cfg.Cert)) {
		t.Error(err)
	}
	if _, err := s.keys.client(s.address).Config(context.Background()); err != nil {
		t.Error(err)
	}
}
