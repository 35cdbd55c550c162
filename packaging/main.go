// SPDX-License-Identifier: Apache-2.0

// Command packaging builds the .deb and .rpm packages into a folder, one of
// each per architecture: binary, units, man pages, completions and the rest of
// nfpm.yaml, which says what a package holds and why.
//
// The same commit gives the same bytes, wherever and by whomever it is built
// with the same Go: times are the commit's, modes are written down, and nothing
// of the building machine gets in.
//
// Be aware:
//   - Without git's metadata it needs -version and SOURCE_DATE_EPOCH.
//   - Units are taken from systemd/ as they are there.
//   - Packages are not signed: who distributes them signs the repository.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	var b build
	arches := flag.String("arch", "amd64,arm64", "architectures, in Go's names")
	flag.StringVar(&b.root, "root", "..", "the checkout")
	flag.StringVar(&b.out, "out", "../dist", "where the packages go")
	flag.StringVar(&b.version, "version", "", "the version, instead of git's")
	flag.Parse()
	b.arches = strings.Split(*arches, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil || flag.NArg() > 0 {
		if err == nil {
			err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
		}
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}
