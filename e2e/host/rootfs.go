// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Suites are Debian's, oldest first: Docker 20.10, 26.1 and 28.5 with Open
// vSwitch 3.1, 3.5 and 4.0.
var Suites = []string{"bookworm", "trixie", "forky"}

//go:embed packages.txt
var packageList string

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

// CacheDir returns where root file systems and Faucet are kept between runs:
// $DOVESNAP_TEST_CACHE, else dovesnap-test in $XDG_CACHE_HOME, else in /var/cache.
func CacheDir() string {
	if dir := os.Getenv("DOVESNAP_TEST_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "dovesnap-test")
	}
	return "/var/cache/dovesnap-test"
}

// Rootfs returns the root file system of a suite in the cache directory, built
// when it is not there (some 30 s, 350 MB). It is to be read, never written.
// Progress is a line or two for a person.
func Rootfs(ctx context.Context, cache, suite string, progress io.Writer) (string, error) {
	argv := mmdebstrap(suite)
	key := sha256.Sum256([]byte(strings.Join(argv, " ")))
	root := filepath.Join(cache, fmt.Sprintf("%s-%x", suite, key[:6]))
	return root, Once(root, func() error {
		fmt.Fprintf(progress, "building %s's root file system in %s, once, about a minute\n", suite, root)
		mirror, err := DebianMirror(ctx)
		if err != nil {
			return err
		}
		// Renamed when complete: half a root file system never has the name.
		partial := root + ".partial"
		if err := os.RemoveAll(partial); err != nil {
			return err
		}
		source := "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] " + mirror + " " + suite + " main"
		argv = append(argv, suite, partial, source)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build root file system %q: %w: %s", suite, err, tail(out, 5))
		}
		return os.Rename(partial, root)
	})
}

// mmdebstrap returns the command without suite, target and source.
func mmdebstrap(suite string) []string {
	argv := []string{"mmdebstrap", "--quiet", "--variant=essential", "--mode=root",
		"--aptopt=Apt::Install-Recommends false",
		"--aptopt=Acquire::Languages none",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--include=" + strings.Join(packages(suite), ","),
	}
	if suite == "forky" {
		// A mirror of the suite under development may lag behind its dates.
		argv = append(argv, "--aptopt=Acquire::Check-Valid-Until false")
	}
	return argv
}

// DebianMirror returns the mirror that this machine's apt is set up with.
func DebianMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask apt for its sources: %w", err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if label, uri, _ := strings.Cut(line, " "); label == "Debian" && uri != "" {
			return uri, nil
		}
	}
	return "", errors.New("cannot find Debian mirror: apt has none; run apt-get update")
}

// Once makes path by calling build unless it exists, one process at a time.
func Once(path string, build func() error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close() // and so unlock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %q: %w", path, err)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return build()
}

// tail returns the last n lines of out as one line.
func tail(out []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("; ")))
}
