// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"dovesnap/spec"

	"github.com/spf13/pflag"
)

const (
	envPrefix = "DOVESNAP_"
	fileFlag  = "config"
	fileEnv   = envPrefix + "CONFIG"
)

// given is a value as somebody wrote it, and where.
type given struct {
	setting setting
	text    string
	where   string // "--log-level", "DOVESNAP_LOG_LEVEL", "FILE line 3: log.level"
}

// AddFlags adds --config and one flag per key.
func AddFlags(fs *pflag.FlagSet) {
	fs.String(fileFlag, DefaultFile, "configuration `file`; the default may be missing")
	for _, s := range settings {
		fs.String(s.flag(), s.value, plain(s.help+" Value: "+s.syntax+"."))
	}
}

// Load reads flags that AddFlags added, the environment as os.Environ gives it,
// and the file that --config or DOVESNAP_CONFIG names, else defaultFile, which
// alone may be missing. Its error is one line with everything that is wrong.
func Load(flags *pflag.FlagSet, environ []string, defaultFile string) (Config, error) {
	var all []given
	for _, s := range settings {
		all = append(all, given{s, s.value, "default of " + s.key})
	}
	fromEnv, named, errs := readEnv(environ)
	if f := flags.Lookup(fileFlag); f != nil && f.Changed {
		named = f.Value.String()
	}
	fromFile, fileErrs := readFile(named, defaultFile)
	all = append(all, fromFile...)
	all = append(all, fromEnv...)
	for _, s := range settings {
		if f := flags.Lookup(s.flag()); f != nil && f.Changed {
			all = append(all, given{s, f.Value.String(), "--" + s.flag()})
		}
	}
	errs = append(fileErrs, errs...)

	var c Config
	for _, g := range all {
		if err := g.setting.set(&c, strings.TrimSpace(g.text)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.where, err))
		}
	}
	if err := c.ownFaucetFile(all); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return Config{}, fmt.Errorf("cannot load configuration: %w", oneLine(errs))
	}
	return c, nil
}

// readEnv returns what the environment gives, and the file that it names.
func readEnv(environ []string) (out []given, file string, errs []error) {
	known := []string{fileEnv}
	for _, s := range settings {
		known = append(known, s.env())
	}
	for _, item := range environ {
		name, value, _ := strings.Cut(item, "=")
		i := slices.Index(known, name)
		switch {
		case !strings.HasPrefix(name, envPrefix) || value == "":
		case name == fileEnv:
			file = value
		case i < 0:
			errs = append(errs, fmt.Errorf("unknown environment variable %s%s", name, spec.DidYouMean(spec.Near(name, known))))
		default:
			out = append(out, given{settings[i-1], value, name})
		}
	}
	return out, file, errs
}

func readFile(named, defaultFile string) ([]given, []error) {
	file := named
	if file == "" {
		file = defaultFile
	}
	text, err := os.ReadFile(file)
	if err != nil {
		if named == "" && errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		cause := err
		var path *os.PathError
		if errors.As(err, &path) {
			cause = path.Err
		}
		return nil, []error{fmt.Errorf("cannot read file %q: %w", file, cause)}
	}
	return parseFile(file, text)
}

func oneLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		texts = append(texts, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return errors.New(strings.Join(texts, "; "))
}
