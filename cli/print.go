// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"dovesnap/config"
	"dovesnap/spec"

	"github.com/spf13/cobra"
)

func checkConfigCommand() *cobra.Command {
	var example bool
	c := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration without starting anything",
		Long: `Check the configuration file, the environment and the flags as "dovesnap run"
would, and report all mistakes at once. Nothing is started or changed.`,
		Example: "  dovesnap check-config --example > " + config.DefaultFile,
		Args:    noArgs,
	}
	config.AddFlags(c.Flags())
	c.Flags().BoolVar(&example, "example", false, "print a configuration file with every key and its default")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if example {
			return config.WriteExample(c.OutOrStdout())
		}
		if _, err := config.Load(c.Flags(), os.Environ(), config.DefaultFile); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "the configuration is valid")
		return nil
	}
	return c
}

func optionsCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "options",
		Short: "List the options of docker network create -d ovs",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if markdown {
				return spec.WriteOptionsMarkdown(c.OutOrStdout())
			}
			return spec.WriteOptions(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "print docs/options.md, with what each option means")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(c.OutOrStdout(), "dovesnap %s (%s, %s/%s)\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// version is set by: go build -ldflags "-X dovesnap/cli.version=1.2.3".
var version string

// Version returns the program's version, else the commit that it was built
// from, else "unknown".
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return describe(version, info)
}

func describe(stamped string, info *debug.BuildInfo) string {
	if stamped != "" || info == nil {
		return orUnknown(stamped)
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		dirty = ""
	}
	return orUnknown(revision + dirty)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
