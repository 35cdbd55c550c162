// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var packaged struct {
	once sync.Once
	deb  string
	err  error
}

// Package returns the path of the .deb under test: $DOVESNAP_DEB, else what "make
// package" makes, once per process.
func Package(ctx context.Context) (string, error) {
	if deb := os.Getenv("DOVESNAP_DEB"); deb != "" {
		return filepath.Abs(deb)
	}
	packaged.once.Do(func() { packaged.deb, packaged.err = makePackage(ctx) })
	return packaged.deb, packaged.err
}

func makePackage(ctx context.Context) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	if err := run(ctx, "make", "-C", root, "package", "ARCH=amd64"); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(root, "dist", "dovesnap_*_amd64.deb"))
	if err != nil {
		return "", err
	}
	// There may be those of other versions.
	var newest string
	var when time.Time
	for _, deb := range debs {
		if info, err := os.Stat(deb); err == nil && info.ModTime().After(when) {
			newest, when = deb, info.ModTime()
		}
	}
	if newest == "" {
		return "", errors.New("cannot find package: make package left none for amd64 in dist")
	}
	return newest, nil
}
