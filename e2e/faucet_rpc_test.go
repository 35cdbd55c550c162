// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// keys makes a key directory of the older layout in the host's FaucetDir: a CA of
// the server's name and one pair of certificate and key, which both sides use.
func (h *testHost) keys(server string) {
	h.t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(h.FaucetPath(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	key := func() *ecdsa.PrivateKey {
		return must[*ecdsa.PrivateKey](h.t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: server + "-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	caKey, leafKey := key(), key()
	der := must[[]byte](h.t)(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey))
	write(server+"-ca.crt", "CERTIFICATE", der)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: server}, DNSNames: []string{server},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der = must[[]byte](h.t)(x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey))
	write("faucetconfrpc.crt", "CERTIFICATE", der)
	write("faucetconfrpc.key", "PRIVATE KEY", must[[]byte](h.t)(x509.MarshalPKCS8PrivateKey(leafKey)))
}
