// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

// Root returns the tree of commands, for man pages and completions. Its
// commands do nothing.
func Root() *cobra.Command { return rootCommand(Actions{}) }
