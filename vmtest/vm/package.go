// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

var packaged = struct {
	once sync.Once
	deb  string
	err  error
}{}

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
	if err := run(ctx, "make", "-C", root, "package"); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(root, "dist", "dovesnap_*_amd64.deb"))
	if err == nil && len(debs) != 1 {
		err = fmt.Errorf("cannot choose package: %d for amd64 in dist", len(debs))
	}
	if err != nil {
		return "", err
	}
	return debs[0], nil
}
