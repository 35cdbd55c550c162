// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"dovesnap/spec"
)

func setLogLevel(c *Config, v string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[v]
	if !ok {
		return fmt.Errorf("%q is not debug, info, warn or error", v)
	}
	c.Log.Level = level
	return nil
}

func setLogFormat(c *Config, v string) error {
	return setOne(&c.Log.Format, v, LogAuto, LogText, LogJSON)
}

func setOVSMode(c *Config, v string) error {
	return setOne(&c.OVS.Mode, v, OVSAuto, OVSManaged, OVSAttach)
}

func setNATBackend(c *Config, v string) error {
	return setOne(&c.NAT.Backend, v, NATAuto, NATNft, NATLegacy)
}

// setOne takes one of three words.
func setOne[T ~string](to *T, v string, a, b, c T) error {
	if !slices.Contains([]T{a, b, c}, T(v)) {
		return fmt.Errorf("%q is not %s, %s or %s", v, a, b, c)
	}
	*to = T(v)
	return nil
}

// maxDir leaves room for the longest name of a socket in the directory: a
// socket's whole path has at most 107 bytes, unix(7).
const maxDir = 80

func setDir(to *string, v string) error {
	switch {
	case !filepath.IsAbs(v):
		return fmt.Errorf("%q is not an absolute path", v)
	case len(v) > maxDir:
		return fmt.Errorf("%q is longer than %d bytes: the path of a socket in it would not fit", v, maxDir)
	}
	*to = filepath.Clean(v)
	return nil
}

// pluginName keeps a name fit for a file, a URL and Docker's list of drivers.
var pluginName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,19}$`)

func setPluginNames(c *Config, v string) error {
	var names []string
	for _, name := range strings.Split(v, ",") {
		name = strings.TrimSpace(name)
		if !pluginName.MatchString(name) {
			return fmt.Errorf("%q is not a driver name: at most 20 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit", name)
		}
		if slices.Contains(names, name) {
			return fmt.Errorf("%q is listed twice", name)
		}
		names = append(names, name)
	}
	c.Plugin.Names = names
	return nil
}

func setDockerHost(c *Config, v string) error {
	kind, rest, _ := strings.Cut(v, "://")
	ok := false
	switch kind {
	case "unix":
		ok = filepath.IsAbs(rest)
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		ok = err == nil && host != "" && port != ""
	}
	if !ok {
		return fmt.Errorf("%q is not unix://PATH or tcp://HOST:PORT", v)
	}
	c.Docker.Host = v
	return nil
}

func setControllers(c *Config, v string) (err error) {
	c.Controllers = nil
	if v != "" {
		c.Controllers, err = spec.ParseControllers(v)
	}
	return err
}

func setDuration(to *time.Duration, v string, most time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30s or 2m", v)
	}
	if d < time.Second || d > most {
		return fmt.Errorf("%s is not from 1s to %gh", v, most.Hours())
	}
	*to = d
	return nil
}
