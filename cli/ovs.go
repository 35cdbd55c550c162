// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"dovesnap/config"
	"dovesnap/supervisor"

	"github.com/spf13/cobra"
)

// OVSAction does its work on one daemon of Open vSwitch's.
type OVSAction = func(ctx context.Context, c config.Config, daemon string, log *slog.Logger) error

func ovsCommand(a Actions) *cobra.Command {
	parent := &cobra.Command{
		Use:   "ovs",
		Short: "Run and restart the Open vSwitch that dovesnap manages",
		Long: `Run and restart the Open vSwitch that dovesnap manages.

"restart" is for you: after an upgrade of Open vSwitch it moves both daemons to
the new programs. The others are what the units dovesnap-ovsdb.service and
dovesnap-vswitchd.service run.`,
		Args: noArgs,
		RunE: showHelp,
	}
	parent.AddCommand(
		actionCommand("restart Open vSwitch", &cobra.Command{
			Use:   "restart",
			Short: "Restart both daemons without losing flows",
			Long: `Restart ovsdb-server and ovs-vswitchd, one after the other, on the programs that
are installed now. The flows of all bridges are saved before and restored after; what
passes through the kernel's datapath goes on meanwhile.`,
		}, a.OVSRestart),
		actionCommand("save flows", &cobra.Command{
			Use:   "save",
			Short: "Save the flows of all bridges for the next start",
		}, a.OVSSave),
		daemonCommand("run", "Prepare one of the daemons, then become it", a.OVSRun),
		daemonCommand("ready", "Wait until one of the daemons serves, with its flows", a.OVSReady),
	)
	return parent
}

// daemonCommand takes the name of a daemon.
func daemonCommand(use, short string, do OVSAction) *cobra.Command {
	var name string
	c := actionCommand(use+" Open vSwitch", &cobra.Command{
		Use:   use + " " + strings.Join(supervisor.Names, "|"),
		Short: short,
	}, func(ctx context.Context, c config.Config, log *slog.Logger) error { return do(ctx, c, name, log) })
	c.ValidArgs = supervisor.Names
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || !slices.Contains(supervisor.Names, args[0]) {
			return misuse(c, fmt.Sprintf("want one of %s, got %q", strings.Join(supervisor.Names, ", "), args))
		}
		name = args[0]
		return nil
	}
	return c
}
