// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// build is one run: all packages of one version.
type build struct {
	root, out string
	version   string // "": git's
	arches    []string
}

func (b build) run(ctx context.Context) error {
	src, err := readSource(ctx, b.root, b.version)
	if err != nil {
		return err
	}
	if b.out, err = filepath.Abs(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "dovesnap-packaging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	// nfpm.yaml names its files from the checkout's root.
	if err := os.Chdir(b.root); err != nil {
		return err
	}
	if err := generate(ctx, stage, src); err != nil {
		return err
	}
	for _, arch := range b.arches {
		if err := compile(ctx, stage, arch, src.version); err != nil {
			return err
		}
		for _, format := range []string{"deb", "rpm"} {
			path, err := b.pack(stage, format, arch, src)
			if err != nil {
				return fmt.Errorf("cannot build %s for %s: %w", format, arch, err)
			}
			fmt.Println(path)
		}
	}
	return nil
}

// pack writes one package and returns its path.
func (b build) pack(stage, format, arch string, src source) (string, error) {
	conf, err := nfpm.ParseFileWithEnvMapping("packaging/nfpm.yaml", func(name string) string {
		return map[string]string{"ARCH": arch, "VERSION": src.version}[name]
	})
	if err != nil {
		return "", err
	}
	info, err := conf.Get(format)
	if err != nil {
		return "", err
	}
	info.MTime = src.time
	if format == "rpm" {
		info.Changelog = filepath.Join(stage, "changelog.yaml")
		// deb-control(5) has the summary in front, and a dot for an empty line.
		_, text, _ := strings.Cut(info.Description, "\n")
		info.Description = strings.ReplaceAll(text, "\n.\n", "\n\n")
	} else {
		info.License = "" // no field of Debian's: the file copyright says it
	}
	for _, c := range info.Contents {
		if rest, ok := strings.CutPrefix(c.Source, "stage/"); ok {
			c.Source = filepath.Join(stage, rest)
		}
		if c.FileInfo != nil {
			c.FileInfo.MTime = src.time
		}
	}
	if format == "rpm" {
		if info.Contents, err = markDocs(info.Contents); err != nil {
			return "", err
		}
	}
	info = nfpm.WithDefaults(info)
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.out, packager.ConventionalFileName(info))
	f, err := os.CreateTemp(b.out, ".package-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // fails once it has its name
	if err := packager.Package(info, f); err != nil {
		f.Close()
		return "", err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}

// markDocs marks documentation as such, as rpmbuild does by its place: nfpm does
// not, and expands no pattern for a file with a mark.
func markDocs(contents files.Contents) (files.Contents, error) {
	var all files.Contents
	for _, c := range contents {
		isDoc := strings.HasPrefix(c.Destination, "/usr/share/doc/") || strings.HasPrefix(c.Destination, "/usr/share/man/")
		if !isDoc || c.Type == files.TypeDir || c.Packager == "deb" {
			all = append(all, c)
			continue
		}
		found, err := filepath.Glob(c.Source)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			doc := *c
			doc.Source, doc.Type = path, files.TypeRPMDoc
			if strings.HasSuffix(doc.Destination, "/") {
				doc.Destination += filepath.Base(path)
			}
			all = append(all, &doc)
		}
	}
	return all, nil
}

// compile builds the binary as stage/dovesnap.
func compile(ctx context.Context, stage, arch, version string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	// Stripped: the traces of a crash are as readable without.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X dovesnap/cli.version="+version, "-o", filepath.Join(stage, "dovesnap"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot compile dovesnap for %s: %w", arch, err)
	}
	return nil
}
