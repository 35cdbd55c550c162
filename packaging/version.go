// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// source is what git knows of the checkout.
type source struct {
	version string
	time    time.Time // of the commit: the time of everything in a package
}

// readSource asks git, unless the caller and SOURCE_DATE_EPOCH say it already.
func readSource(ctx context.Context, root, version string) (source, error) {
	s := source{version: version}
	if s.version == "" {
		described, err := git(ctx, root, "describe", "--tags", "--match", "v[0-9]*", "--long", "--abbrev=12", "--dirty")
		if err != nil { // no tag yet
			var count, hash string
			count, err = git(ctx, root, "rev-list", "--count", "HEAD")
			if err == nil {
				hash, err = git(ctx, root, "describe", "--always", "--exclude", "*", "--abbrev=12", "--dirty")
			}
			described = "v0.1.0-untagged-" + count + "-g" + hash
		}
		if err != nil {
			return s, fmt.Errorf("cannot read the version: %w; give -version and SOURCE_DATE_EPOCH", err)
		}
		if s.version, err = packageVersion(described); err != nil {
			return s, err
		}
	}
	if !legal.MatchString(s.version) {
		return s, fmt.Errorf("%q is no version for both Debian and RPM", s.version)
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		var err error
		if seconds, err = git(ctx, root, "log", "-1", "--format=%ct"); err != nil {
			return s, fmt.Errorf("cannot read the commit's time: %w", err)
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return s, fmt.Errorf("SOURCE_DATE_EPOCH is not a number of seconds: %q", seconds)
	}
	s.time = time.Unix(n, 0).UTC()
	return s, nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	// git refuses a checkout of another owner, which sudo makes of one's own.
	dir, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "-c", "safe.directory=" + dir}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// legal are the characters that deb-version(7) and rpm-version(7) share, in a
// version that is not Debian's with a revision: the packaging is part of the
// source.
var legal = regexp.MustCompile(`^[0-9][0-9A-Za-z.+~]*$`)

var describe = regexp.MustCompile(`^v([0-9.]+)(?:-([0-9A-Za-z.]+))?-([0-9]+)-g([0-9a-f]+)(-dirty)?$`)

// packageVersion makes a version that dpkg and rpm sort alike out of the long
// form of git describe:
//
//	v1.2.3-0-gabc        1.2.3
//	v1.2.3-rc1-0-gabc    1.2.3~rc1          before 1.2.3
//	v1.2.3-4-gabc        1.2.3+git4.abc     after 1.2.3, before 1.2.4
//	no tag               0.1.0~git4.abc     before the first release
//
// and "+dirty" behind each of a changed checkout.
func packageVersion(described string) (string, error) {
	m := describe.FindStringSubmatch(described)
	if m == nil {
		return "", fmt.Errorf("cannot make a version of git's %q", described)
	}
	version, pre, count, hash := m[1], m[2], m[3], m[4]
	snapshot := "git" + count + "." + hash
	switch {
	case pre == "untagged":
		version += "~" + snapshot
	case pre != "":
		version += "~" + pre
		fallthrough
	default:
		if count != "0" {
			version += "+" + snapshot
		}
	}
	if m[5] != "" {
		version += "+dirty"
	}
	return version, nil
}
