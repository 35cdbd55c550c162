// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, tt := range map[string]struct {
		server func(*testing.T, *ca) string
		client func(*Client)
		want   string // in the error
	}{
		"nobody": {server: func(t *testing.T, k *ca) string { return freeAddress(t) },
			want: "Unavailable: Error while dialing: dial tcp ADDRESS: connect: connection refused"},
		"silent": {server: func(*testing.T, *ca) string { return silent.Addr().String() },
			client: func(c *Client) { c.dialTimeout = 100 * time.Millisecond },
			want:   "Unavailable: authentication handshake failed: context deadline exceeded"},
		"slow": {server: func(*testing.T, *ca) string { return silent.Addr().String() },
			client: func(c *Client) { c.callTimeout = 100 * time.Millisecond },
			want:   "DeadlineExceeded: "},
		"TLS 1.2": {server: func(t *testing.T, k *ca) string {
			a, _ := serve(t, k, "faucet", &recorder{}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
			return a
		}, want: "Unavailable: authentication handshake failed: remote error: tls: protocol version not supported"},
		"server of another CA": {server: func(t *testing.T, k *ca) string {
			a, _ := serve(t, keys(t), "faucet", &recorder{})
			return a
		}, want: "Unavailable: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"server with another name": {server: func(t *testing.T, k *ca) string {
			k.issue("other", false)
			a, _ := serve(t, k, "other", &recorder{})
			return a
		}, want: "Unavailable: authentication handshake failed: tls: failed to verify certificate: x509: certificate is valid for other, not faucet"},
		"server expired": {server: func(t *testing.T, k *ca) string {
			k.issue("faucet", true)
			a, _ := serve(t, k, "faucet", &recorder{})
			return a
		}, want: "Unavailable: authentication handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "},
		"server does not know us": {server: func(t *testing.T, k *ca) string {
			a, _ := serve(t, k, "faucet", &recorder{}, func(c *tls.Config) { c.ClientCAs = x509.NewCertPool() })
			return a
		}, want: ` (perhaps the server does not accept certificate "DIR/dovesnap.crt")`},
		"we expired": {server: func(t *testing.T, k *ca) string {
			k.issue("dovesnap", true)
			a, _ := serve(t, k, "faucet", &recorder{})
			return a
		}, want: `Unavailable: certificate "DIR/dovesnap.crt" has expired on `},
	} {
		t.Run(name, func(t *testing.T) {
			k := keys(t)
			address := tt.server(t, k)
			c := k.client(address)
			if tt.client != nil {
				tt.client(c)
			}
			_, err := c.Config(context.Background())
			if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrRefused) {
				t.Fatalf("%v: is not ErrUnreachable", err)
			}
			got := strings.NewReplacer(address, "ADDRESS", k.dir, "DIR").Replace(err.Error())
			if !strings.Contains(got, tt.want) || !strings.HasPrefix(got, `cannot call GetConfigFile of faucetconfrpc at "ADDRESS": `) || strings.Contains(got, "\n") {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	k := keys(t)
	address, _ := serve(t, k, "faucet", &recorder{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.client(address).Merge(ctx, "{}"); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// TestRenewed: a client that was opened before uses the files as they are now.
func TestRenewed(t *testing.T) {
	k, ctx := keys(t), context.Background()
	k.issue("dovesnap", true)
	address, stop := serve(t, k, "faucet", &recorder{})
	c := k.client(address)
	if _, err := c.Config(ctx); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	k.issue("dovesnap", false)
	if _, err := c.Config(ctx); err != nil {
		t.Fatal(err)
	}
	// Half written.
	if err := os.Truncate(filepath.Join(k.dir, "dovesnap.key"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Config(ctx); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	// All of them, and the CA.
	stop()
	k = newCA(t, k.dir, "faucet")
	k.issue("faucet", false)
	k.issue("dovesnap", false)
	c.cfg.Address, _ = serve(t, k, "faucet", &recorder{})
	if _, err := c.Config(ctx); err != nil {
		t.Fatal(err)
	}
}
