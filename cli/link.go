// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"

	"dovesnap/config"

	"github.com/spf13/cobra"
)

// linkTarget is an endpoint's ID and a MAC address without colons, as the instance
// of a unit may be named.
var linkTarget = regexp.MustCompile(`^([0-9a-f]{64})_([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$`)

func linkCommand(a Actions) *cobra.Command {
	parent := &cobra.Command{
		Use:    "link",
		Short:  "What the units of dovesnap's run",
		Hidden: true,
		Args:   noArgs,
		RunE:   showHelp,
	}
	var id, mac string
	c := actionCommand("change a link", &cobra.Command{
		Use:   "mac ENDPOINT_MAC",
		Short: "Give a container's link a MAC address, as dovesnap-mac@.service does",
	}, func(ctx context.Context, _ config.Config, log *slog.Logger) error {
		return a.LinkMAC(ctx, id, mac, log)
	})
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || !linkTarget.MatchString(args[0]) {
			return misuse(c, fmt.Sprintf("want an endpoint's ID, _ and a MAC address without colons, got %q", args))
		}
		m := linkTarget.FindStringSubmatch(args[0])
		id, mac = m[1], fmt.Sprintf("%s:%s:%s:%s:%s:%s", m[2], m[3], m[4], m[5], m[6], m[7])
		return nil
	}
	parent.AddCommand(c)
	return parent
}
