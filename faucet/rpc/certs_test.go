// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ca signs certificates into a directory, by KeyDir's names.
type ca struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCA makes the directory's CA, that of server, or another in its place.
func newCA(t *testing.T, dir, server string) *ca {
	c := &ca{t: t, dir: dir}
	c.cert, c.key = c.sign(server+"-ca", 0)
	c.write(server+"-ca.crt", "CERTIFICATE", c.cert.Raw)
	return c
}

// issue makes name's pair, which is valid for an hour, or has not been for one.
func (c *ca) issue(name string, expired bool) {
	ago := time.Duration(0)
	if expired {
		ago = 2 * time.Hour
	}
	cert, key := c.sign(name, ago)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(name+".crt", "CERTIFICATE", cert.Raw)
	c.write(name+".key", "PRIVATE KEY", der)
}

func (c *ca) sign(name string, ago time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		c.t.Fatal(err)
	}
	now := time.Now().Add(-ago)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
	}
	parent, signer := c.cert, c.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert, key
}

func (c *ca) write(file, kind string, der []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(c.dir, file), text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// keys makes a CA, a server "faucet" and a client "dovesnap".
func keys(t *testing.T) *ca {
	c := newCA(t, t.TempDir(), "faucet")
	c.issue("faucet", false)
	c.issue("dovesnap", false)
	return c
}

// client opens a client of the server at address.
func (c *ca) client(address string) *Client {
	cfg := Config{Address: address, ServerName: "faucet"}
	cfg.CA, cfg.Cert, cfg.Key = KeyDir(c.dir, "dovesnap", "faucet")
	client, err := Open(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestOpen(t *testing.T) {
	c := keys(t)
	c.issue("expired", true)
	for _, tt := range []struct {
		cfg  Config // with names of c.dir
		want string
	}{
		{Config{"faucet:59999", "", "faucet-ca.crt", "dovesnap.crt", "dovesnap.key"}, ""},
		{Config{"[::1]:59999", "faucet", "faucet-ca.crt", "dovesnap.crt", "dovesnap.key"}, ""},
		{Config{"faucet:59999", "", "faucet-ca.crt", "expired.crt", "expired.key"}, ""},
		{Config{"faucet", "", "faucet-ca.crt", "dovesnap.crt", "dovesnap.key"}, `cannot use address "faucet" of faucetconfrpc: it is not host:port`},
		{Config{"faucet:0", "", "faucet-ca.crt", "dovesnap.crt", "dovesnap.key"}, `cannot use address "faucet:0" of faucetconfrpc: it is not host:port`},
		{Config{":59999", "", "faucet-ca.crt", "dovesnap.crt", "dovesnap.key"}, `cannot use address ":59999" of faucetconfrpc: it is not host:port`},
		{Config{"faucet:59999", "", "no.crt", "dovesnap.crt", "dovesnap.key"}, `cannot read CA certificate "DIR/no.crt": no such file or directory`},
		{Config{"faucet:59999", "", "dovesnap.key", "dovesnap.crt", "dovesnap.key"}, `cannot read CA certificate "DIR/dovesnap.key": there is no PEM certificate in it`},
		{Config{"faucet:59999", "", "faucet-ca.crt", "no.crt", "dovesnap.key"}, `cannot read certificate "DIR/no.crt": no such file or directory`},
		{Config{"faucet:59999", "", "faucet-ca.crt", "dovesnap.crt", ""}, `cannot read key "DIR": is a directory`},
		{Config{"faucet:59999", "", "faucet-ca.crt", "dovesnap.crt", "faucet.key"}, `cannot use certificate "DIR/dovesnap.crt" with key "DIR/faucet.key": tls: private key does not match public key`},
	} {
		for _, file := range []*string{&tt.cfg.CA, &tt.cfg.Cert, &tt.cfg.Key} {
			*file = filepath.Join(c.dir, *file)
		}
		got := ""
		if _, err := Open(tt.cfg); err != nil {
			got = strings.ReplaceAll(err.Error(), c.dir, "DIR")
		}
		if got != tt.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", tt.cfg, got, tt.want)
		}
	}
}
