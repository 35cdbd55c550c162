// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"os"

	"dovesnap/config"
	"dovesnap/status"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func statusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show networks, endpoints, Open vSwitch, and what is wrong",
		Long: `Show what is wrong, then networks, endpoints, controllers and Open vSwitch, as
the running daemon sees them.

Exit codes: 0 all is well, 1 there are problems (or no answer), 3 the daemon is
not running.`,
		Args: noArgs,
	}
	config.AddFlags(c.Flags())
	c.Flags().VisitAll(func(f *pflag.Flag) {
		// The rest is the daemon's; it is read, as everywhere, but not of use here.
		f.Hidden = f.Name != "config" && f.Name != "run-dir"
	})
	c.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.Load(c.Flags(), os.Environ(), config.DefaultFile)
		if err != nil {
			return err
		}
		s, err := status.Get(c.Context(), status.Socket(conf.RunDir))
		if errors.Is(err, status.ErrNotRunning) {
			return exit{code: notRunning, line: err.Error() + "; start it: dovesnap service start (or in the foreground: dovesnap run)"}
		}
		if err != nil {
			return err
		}
		if asJSON {
			encoder := json.NewEncoder(c.OutOrStdout())
			encoder.SetIndent("", "  ")
			err = encoder.Encode(s)
		} else {
			err = status.Render(c.OutOrStdout(), s)
		}
		if err == nil && len(s.Trouble()) > 0 {
			err = exit{code: failed} // said already
		}
		return err
	}
	return c
}
