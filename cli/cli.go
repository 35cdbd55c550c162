// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: it reads arguments and configuration, and
// calls what does the work. Errors are one line on stderr.
//
// Exit codes: 0 done; 1 it failed, or `status` found problems; 2 the command
// line is wrong; 3 `status` or `service status`: not running.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"dovesnap/config"
	"dovesnap/spec"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Actions do the work that needs the rest of the program.
type Actions struct {
	Run     func(context.Context, config.Config, *slog.Logger) error // until ctx ends
	Down    func(context.Context, config.Config, *slog.Logger) error
	Cleanup func(context.Context, config.Config, *slog.Logger) error
	// Refuse answers Docker for a while, when Run cannot begin.
	Refuse func(ctx context.Context, cause error)

	OVSRestart, OVSSave func(context.Context, config.Config, *slog.Logger) error
	OVSRun, OVSReady    OVSAction

	LinkMAC func(ctx context.Context, endpoint, mac string, log *slog.Logger) error

	// FaucetInit returns what it changed in the operator's file, as text.
	FaucetInit func(config.Config) (string, error)
}

// Exit codes besides 0.
const (
	failed     = 1
	misused    = 2
	notRunning = 3
)

// exit ends the program with a code and, unless it is empty, one line.
type exit struct {
	code int
	line string
	hint string // a second line
}

func (e exit) Error() string { return e.line }

// Execute runs a command line, without the program's name, and returns the exit
// code.
func Execute(actions Actions, args []string, stdout, stderr io.Writer) int {
	root := rootCommand(actions)
	root.SetArgs(append([]string{}, args...)) // nil would stand for os.Args
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return 0
	}
	e := exit{code: failed, line: err.Error()}
	errors.As(err, &e)
	if e.line != "" {
		fmt.Fprintf(stderr, "dovesnap: %s\n", strings.ReplaceAll(e.line, "\n", " "))
	}
	if e.hint != "" {
		fmt.Fprintln(stderr, e.hint)
	}
	return e.code
}

func rootCommand(actions Actions) *cobra.Command {
	root := &cobra.Command{
		Use:   "dovesnap",
		Short: "Connects Docker containers to Open vSwitch and Faucet",
		Long: `dovesnap is Docker's network driver for Open vSwitch. It supervises Open
vSwitch, serves "docker network create -d ovs" and does the NAT, so that
containers share one network, and one controller, with VMs and machines.

  dovesnap service install && dovesnap service start
  docker network create mynet -d ovs -o ovs.bridge.mode=nat
  docker run -td --net=mynet busybox
  dovesnap status`,
		Version:           Version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              noArgs,
		RunE:              showHelp,
	}
	root.SetVersionTemplate("dovesnap {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	cobra.AddTemplateFunc("wrapped", func(fs *pflag.FlagSet) string { return fs.FlagUsagesWrapped(100) })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".LocalFlags.FlagUsages", "wrapped .LocalFlags"))
	root.AddCommand(runCommand(actions), ovsCommand(actions), faucetCommand(actions), linkCommand(actions), serviceCommand(), statusCommand(), portsCommand(), doctorCommand(), downCommand(actions.Down), cleanupCommand(actions.Cleanup),
		checkConfigCommand(), optionsCommand(), versionCommand())
	for _, c := range root.Commands() {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	return root
}

func showHelp(c *cobra.Command, _ []string) error { return c.Help() }

// noArgs refuses stray arguments, which below a command with subcommands are
// unknown commands.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasSubCommands() {
		return misuse(c, fmt.Sprintf("unexpected argument %q", args[0]))
	}
	line := fmt.Sprintf("unknown command %q", args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		line += "; did you mean " + near[0] + "?"
	}
	return misuse(c, line)
}

func flagError(c *cobra.Command, err error) error {
	line := err.Error()
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		if name := "--" + unknown.GetSpecifiedName(); unknown.GetSpecifiedShortnames() == "" {
			line = fmt.Sprintf("unknown flag %s%s", name, spec.DidYouMean(spec.Near(name, names)))
		}
	}
	return misuse(c, line)
}

func misuse(c *cobra.Command, line string) error {
	return exit{misused, line, fmt.Sprintf("Run %q for help.", c.CommandPath()+" --help")}
}
