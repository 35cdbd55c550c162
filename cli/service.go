// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"dovesnap/service"

	"github.com/spf13/cobra"
)

func serviceCommand() *cobra.Command {
	parent := &cobra.Command{
		Use:   "service",
		Short: "Install and control dovesnap as a systemd service",
		Long: `Install and control dovesnap as a systemd service that starts before Docker.

Stopping, restarting and uninstalling the service leave Open vSwitch and the
containers' traffic as they are. A package brings its own unit; beside one,
"install" refuses.`,
		Args: noArgs,
		RunE: showHelp,
	}
	add := func(use, short string, do func(*cobra.Command) error) {
		parent.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
			RunE: func(c *cobra.Command, _ []string) error { return do(c) },
		})
	}
	add("install", "Write and enable the unit", func(c *cobra.Command) error { return service.Install(c.OutOrStdout()) })
	add("uninstall", "Stop, disable and remove the unit", func(c *cobra.Command) error { return service.Uninstall(c.OutOrStdout()) })
	add("start", "Start the service and wait until it is ready", func(*cobra.Command) error { return service.Start() })
	add("stop", "Stop the service, not Open vSwitch", func(*cobra.Command) error { return service.Stop() })
	add("restart", "Stop the service and start it", func(*cobra.Command) error { return service.Restart() })
	add("status", "Say whether the service runs; exit code 3 if not", func(c *cobra.Command) error {
		running, state, err := service.Running()
		if err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), state)
		if !running {
			return exit{code: notRunning}
		}
		return nil
	})
	return parent
}
