// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"log/slog"

	"dovesnap/config"

	"github.com/spf13/cobra"
)

func faucetCommand(a Actions) *cobra.Command {
	parent := &cobra.Command{
		Use:   "faucet",
		Short: "Connect Faucet's configuration with dovesnap's",
		Args:  noArgs,
		RunE:  showHelp,
	}
	begin := &cobra.Command{
		Use:   "init",
		Short: "Have your faucet.yaml include dovesnap's file",
		Long: `Have your faucet.yaml (faucet.config) include the file that dovesnap writes with
faucet.mode file (faucet.file), and print what was added. Nothing else in your
file is changed, now or later. May be run again at any time.`,
	}
	parent.AddCommand(actionCommand("change Faucet's configuration", begin, func(_ context.Context, c config.Config, _ *slog.Logger) error {
		said, err := a.FaucetInit(c)
		if err == nil {
			fmt.Fprintln(begin.OutOrStdout(), said)
		}
		return err
	}))
	return parent
}
