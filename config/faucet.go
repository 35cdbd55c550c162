// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func setFaucetMode(c *Config, v string) error {
	return setOne(&c.Faucet.Mode, v, FaucetOff, FaucetFile, FaucetRPC)
}

func setFile(to *string, v string) error {
	if !filepath.IsAbs(v) {
		return fmt.Errorf("%q is not an absolute path", v)
	}
	*to = filepath.Clean(v)
	return nil
}

// ownFaucetFile refuses one file for the operator's and dovesnap's; by its name
// alone, since neither need be there.
func (c Config) ownFaucetFile(all []given) error {
	if c.Faucet.File != c.Faucet.Config { // both are clean
		return nil
	}
	var where string // it became so
	for _, g := range all {
		if g.setting.key == "faucet.file" || g.setting.key == "faucet.config" {
			where = g.where
		}
	}
	return fmt.Errorf("%s: %q is both faucet.config, which is yours, and faucet.file, which dovesnap overwrites: give faucet.file another name", where, c.Faucet.File)
}

func optionalFile(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if v == "" {
			return nil
		}
		return setFile(field(c), v)
	}
}

func setText(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if strings.ContainsAny(v, " \t/") {
			return fmt.Errorf("%q is not a name", v)
		}
		*field(c) = v
		return nil
	}
}

var unitName = regexp.MustCompile(`^[a-zA-Z0-9:_.@-]+\.service$`)

func setFaucetReload(c *Config, v string) error {
	kind, rest, _ := strings.Cut(v, ":")
	switch {
	case v == "auto", v == "watch":
	case kind == "systemd" && unitName.MatchString(rest):
	case kind == "pidfile" && filepath.IsAbs(rest):
	default:
		return fmt.Errorf("%q is not auto, watch, systemd:NAME.service or pidfile:/PATH", v)
	}
	c.Faucet.Reload = v
	return nil
}

func setFaucetMetrics(c *Config, v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" || u.Host == "" || (u.Path != "" && u.Path != "/") {
		return fmt.Errorf("%q is not http://HOST:PORT", v)
	}
	c.Faucet.Metrics = strings.TrimSuffix(v, "/")
	return nil
}

func setFaucetLabels(c *Config, v string) (err error) {
	if c.Faucet.Labels, err = strconv.ParseBool(v); err != nil {
		err = fmt.Errorf("%q is not true or false", v)
	}
	return err
}

func setRPCAddress(c *Config, v string) error {
	host, port, err := net.SplitHostPort(v)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n == 0 || host == "" {
		return fmt.Errorf("%q is not HOST:PORT", v)
	}
	c.Faucet.RPC.Address = v
	return nil
}
