// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"dovesnap/config"
	"dovesnap/status"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func statusCommand() *cobra.Command {
	return askCommand(&cobra.Command{
		Use:   "status",
		Short: "Show networks, endpoints, Open vSwitch, and what is wrong",
		Long: `Show what is wrong, then networks, endpoints, controllers and Open vSwitch, as
the running daemon sees them.

Exit codes: 0 all is well, 1 there are problems (or no answer), 3 the daemon is
not running.`,
	}, status.Render, func(s status.Status) any { return s }, status.Status.Trouble)
}

func portsCommand() *cobra.Command {
	return askCommand(&cobra.Command{
		Use:   "ports",
		Short: "Show the published ports (docker run -p), which docker ps cannot",
		Long: `Show which ports of the host are passed on to which containers, those that Docker
left to be chosen among them. Docker shows published ports of its own drivers only.`,
	}, status.RenderPorts, func(s status.Status) any { return s.Published() }, nil)
}

func doctorCommand() *cobra.Command {
	return askCommand(&cobra.Command{
		Use:   "doctor",
		Short: "Show all that is wrong, and the kernel's settings that forwarding needed",
		Long: `Show all that is wrong, one line each, and the settings of the kernel (sysctl) that
dovesnap has changed to forward packets and publish ports, with the reason. Settings of
IPv6 on the links of bridges are not among them.

Exit codes: as of "dovesnap status".`,
	}, status.RenderDoctor, func(s status.Status) any {
		return map[string]any{"trouble": append([]string{}, s.Trouble()...), "changed": s.Changed}
	}, status.Status.Trouble)
}

// askCommand asks the daemon for its Status and shows it by render, or as the JSON
// of what pick makes of it. It fails when trouble, if there is such a function, finds
// any.
func askCommand(c *cobra.Command, render func(io.Writer, status.Status) error, pick func(status.Status) any, trouble func(status.Status) []string) *cobra.Command {
	var asJSON bool
	c.Args = noArgs
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
			err = encoder.Encode(pick(s))
		} else {
			err = render(c.OutOrStdout(), s)
		}
		if err == nil && trouble != nil && len(trouble(s)) > 0 {
			err = exit{code: failed} // said already
		}
		return err
	}
	return c
}
