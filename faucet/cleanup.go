// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"dovesnap/whole"
)

// Cleanup removes what there is of ours on the host, also of a mode that is no
// longer set: our file, if it is ours, what is remembered of Faucet's, and what was
// not finished. The line that Init added stays: the inclusion is optional.
func Cleanup(cfg FileConfig) error {
	f := newFileBackend(cfg)
	return errors.Join(removeOurs(cfg.File), f.sweep(), save(cfg.State, nil), whole.Sweep(cfg.State), whole.Sweep(realpath(cfg.Config)))
}

func removeOurs(file string) error {
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot read %q: %w", file, whole.Cause(err))
	case !bytes.HasPrefix(text, []byte(fileMark)):
		return nil
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("cannot remove %q: %w", file, whole.Cause(err))
	}
	return nil
}
