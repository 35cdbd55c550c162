// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FaucetDir is the directory of Faucet's configuration in a host. It is a directory
// of the machine's, since Faucet runs with the machine's files.
const FaucetDir = "/etc/faucet"

// faucetDir is the same directory on the machine.
func (h *Host) faucetDir() string { return filepath.Join(h.Logs, "faucet") }

// share makes a directory of the machine's appear in the host: a mount that is made
// here and attached there, open_tree(2) and move_mount(2).
func (h *Host) share(dir, target string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot share %q: %w", dir, err)
	}
	defer unix.Close(tree)
	return h.Files(func() error {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("cannot mount %q: %w", target, err)
		}
		return nil
	})
}
