// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// KeyDir returns the files of a directory of keys as it was laid out since 2020:
// the CA's is named after the server.
func KeyDir(dir, client, server string) (ca, cert, key string) {
	return filepath.Join(dir, server+"-ca.crt"), filepath.Join(dir, client+".crt"), filepath.Join(dir, client+".key")
}

// tls reads the files as they are now.
func (cfg Config) tls() (*tls.Config, error) {
	ca, err := read("CA certificate", cfg.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("cannot read CA certificate %q: there is no PEM certificate in it", cfg.CA)
	}
	cert, err := read("certificate", cfg.Cert)
	if err != nil {
		return nil, err
	}
	key, err := read("key", cfg.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %q with key %q: %w", cfg.Cert, cfg.Key, err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   cfg.ServerName,
		RootCAs:      roots,
		Certificates: []tls.Certificate{pair},
	}, nil
}

func read(what, file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err // without the path again
		}
		return nil, fmt.Errorf("cannot read %s %q: %w", what, file, err)
	}
	return text, nil
}

// inTime says before the server does, and better, that our certificate is not
// valid now: TLS 1.3 tells a client only after its handshake.
func inTime(pair tls.Certificate, file string) error {
	now := time.Now()
	switch {
	case now.After(pair.Leaf.NotAfter):
		return fmt.Errorf("certificate %q has expired on %s", file, pair.Leaf.NotAfter.Format(time.DateTime))
	case now.Before(pair.Leaf.NotBefore):
		return fmt.Errorf("certificate %q is valid from %s only", file, pair.Leaf.NotBefore.Format(time.DateTime))
	}
	return nil
}
