// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"dovesnap/e2e/host"
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

var managedRPC = []string{"--faucet-mode=rpc", "--faucet-rpc-address=" + host.FaucetConfRPCAddress,
	"--faucet-rpc-server-name=faucetconfrpc", "--faucet-rpc-keydir=" + host.FaucetDir}

// faucetYAMLNow is what faucetconfrpc keeps.
func (h *testHost) faucetYAMLNow() string {
	text, _ := h.ReadFile(host.FaucetDir + "/faucet.yaml")
	return text
}

// TestFaucetRPC is the job in mode rpc: through the real faucetconfrpc, to a Faucet
// that watches its file.
func TestFaucetRPC(t *testing.T) {
	eachSuite(t, func(t *testing.T, h *testHost) {
		h.ready()
		h.keys("faucetconfrpc")
		h.faucet(operatorYAML, "FAUCET_CONFIG_STAT_RELOAD=1")
		server := h.confRPC()
		daemon := h.dovesnap(managedRPC...)
		h.createManaged("lab", 12, "-o", "ovs.bridge.dpid=0x1", "-o", "ovs.bridge.default_acl=open")
		one, two := h.container("one", "lab"), h.container("two", "lab")
		h.reaches(one, "172.12.0.1")
		h.reaches(one, "172.12.0.3")
		strict := h.container("strict", "lab", "--label=dovesnap.faucet.portacl=no-icmp")
		h.seenAs(strict)
		if h.pings(strict, "172.12.0.1") == nil {
			t.Error("a container's own ACL is not in force")
		}

		// The server is away: nothing waits for it, and it is told when it is back.
		h.kill(server)
		h.docker("rm", "-f", two)
		three := h.container("three", "lab")
		h.reaches(three, "172.12.0.1")
		h.createManaged("later", 13)
		h.docker("rm", "-f", strict)
		h.docker("network", "create", "-d", "ovs", "-o", "ovs.bridge.controller=tcp:127.0.0.1:6653", "gone")
		h.docker("network", "rm", "gone")
		h.stop(daemon)
		server = h.confRPC()
		h.dovesnap(managedRPC...)
		four := h.container("four", "later")
		h.reaches(four, "172.13.0.1")
		if text := h.faucetYAMLNow(); strings.Contains(text, "gone") || !strings.Contains(text, "later") {
			t.Errorf("the server has\n%s", text)
		}
		h.docker("rm", "-f", one, three, four)
		h.docker("network", "rm", "lab", "later")
		eventually(t, patience, "the datapaths to be withdrawn", func() error {
			if text := h.faucetYAMLNow(); strings.Contains(text, "lab") || strings.Contains(text, "later") {
				return fmt.Errorf("the server has\n%s", text)
			}
			return nil
		})
		h.kill(server)
	})
}
