// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"dovesnap/e2e/host"
)

// guestFiles are copied over a guest's root file system.
//
//go:embed all:guest
var guestFiles embed.FS

//go:embed packages.txt
var packageList string

//go:embed provision.sh
var provision string

// diskSize is a guest's, on a sparse file.
const diskSize = "6G"

// image returns a directory with a suite's disk (disk.raw, never booted), vmlinuz
// and initrd.
func image(ctx context.Context, suite string, progress io.Writer) (*cached, error) {
	programs, err := buildPrograms(ctx)
	if err != nil {
		return nil, err
	}
	venv, err := host.FaucetVenv(ctx, host.CacheDir(), progress)
	if err != nil {
		return nil, err
	}
	files, err := treeText(guestFiles)
	if err != nil {
		return nil, err
	}
	argv := mmdebstrap(suite, packages(suite))
	k := key(strings.Join(argv, " "), provision, files, diskSize, venv, programs.key)
	return cache(suite, k, nil, func(dir string) error {
		fmt.Fprintf(progress, "building %s's virtual machine, once, about two minutes\n", suite)
		root, own := filepath.Join(dir, "root"), filepath.Join(dir, "own")
		if err := copyTree(own, guestFiles, strings.NewReplacer("@VENV@", venv)); err != nil {
			return err
		}
		for name, program := range programs.paths {
			if err := run(ctx, "install", "-D", "-m755", program, filepath.Join(own, "usr/local/sbin", name)); err != nil {
				return err
			}
		}
		if err := debootstrap(ctx, suite, root, argv, own, provision); err != nil {
			return err
		}
		if err := faucetTree(ctx, filepath.Join(root, "opt/faucet"), venv); err != nil {
			return err
		}
		for _, file := range []string{"vmlinuz", "initrd"} {
			if err := os.Rename(filepath.Join(root, "boot", file), filepath.Join(dir, file)); err != nil {
				return err
			}
		}
		if err := run(ctx, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-m", "0",
			"-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
			"-d", root, filepath.Join(dir, "disk.raw"), diskSize); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(root), os.RemoveAll(own))
	})
}

func packages(suite string) []string {
	var names []string
	for _, line := range strings.Split(packageList, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			names = append(names, line)
		}
	}
	if suite != "bookworm" {
		names = append(names, "docker-cli")
	}
	return names
}

// mmdebstrap returns the command without hooks, suite, target and source.
func mmdebstrap(suite string, packages []string) []string {
	argv := []string{"mmdebstrap", "--quiet", "--variant=apt", "--mode=root", "--architectures=amd64",
		"--aptopt=Apt::Install-Recommends false",
		"--aptopt=Acquire::Languages none",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--include=" + strings.Join(packages, ","),
	}
	if suite == "forky" {
		// A mirror of the suite under development may lag behind its dates.
		argv = append(argv, "--aptopt=Acquire::Check-Valid-Until false")
	}
	return argv
}

// debootstrap makes a root file system, copies the directory own over it unless
// that is empty, and runs a script in it while its apt still knows the mirror.
func debootstrap(ctx context.Context, suite, root string, argv []string, own, script string) error {
	mirror, err := host.DebianMirror(ctx)
	if err != nil {
		return err
	}
	hook := "#!/bin/sh\nset -e\n"
	if own != "" {
		hook += fmt.Sprintf("cp -R --preserve=mode -T %q \"$1\"\n", own)
	}
	hook += "chroot \"$1\" /bin/sh -s <<'END-OF-SCRIPT'\n" + script + "\nEND-OF-SCRIPT\n"
	path := root + ".hook"
	if err := os.WriteFile(path, []byte(hook), 0o755); err != nil {
		return err
	}
	defer os.Remove(path)
	source := "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + mirror + " " + suite + " main"
	argv = append(argv, "--customize-hook="+path,
		// What the script leaves of apt's is meant to stay.
		"--skip=cleanup/apt", suite, root, source)
	return run(ctx, argv...)
}

// faucetTree makes the root file system that Faucet runs in, in every suite's
// guest: this machine's Debian, since the environment has its Python's version.
func faucetTree(ctx context.Context, root, venv string) error {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return err
	}
	var suite string
	for _, line := range strings.Split(string(release), "\n") {
		if name, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			suite = name
		}
	}
	argv := mmdebstrap(suite, []string{"python3", "libstdc++6"})
	argv[2] = "--variant=essential"
	const script = "rm -rf /var/cache/apt /var/lib/apt/lists /usr/share/doc; mkdir -p /etc/faucet /var/log/faucet"
	if err := debootstrap(ctx, suite, root, argv, "", script); err != nil {
		return err
	}
	// Where it was: its programs know their path.
	target := filepath.Join(root, venv)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return run(ctx, "cp", "-a", venv, target)
}

// copyTree copies the files of a guest over its root.
func copyTree(root string, files embed.FS, replace *strings.Replacer) error {
	return fs.WalkDir(files, "guest", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(root, strings.TrimPrefix(path, "guest"))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(replace.Replace(string(text))), 0o644)
	})
}

// treeText returns everything in a tree, as a part of a key.
func treeText(files embed.FS) (string, error) {
	var text strings.Builder
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		fmt.Fprintf(&text, "%s\n%s\n", path, content)
		return err
	})
	return text.String(), err
}

// run runs a command on this machine; what it printed is in the error.
func run(ctx context.Context, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		last := bytes.Join(lines[max(0, len(lines)-10):], []byte("; "))
		return fmt.Errorf("cannot run %q: %w: %s", filepath.Base(argv[0]), err, last)
	}
	return nil
}
