// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dovesnap/spec"
)

// A record that was cut off while it was written goes with its network, and another
// network's stays.
func TestHalfARecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	l := newLinks().RecordIn(dir)
	mine, other := spec.Network{ID: "aaaabbbbcccc", MigrateUplinks: true}, spec.Network{ID: "ddddeeeeffff", MigrateUplinks: true}
	must(t, os.Mkdir(dir, 0o755))
	for _, n := range []spec.Network{mine, other} {
		must(t, os.WriteFile(l.recordFile(n.ID)+".new", []byte("{"), 0o600))
	}
	for range 2 {
		must(t, l.ReleaseNetwork(deadline(t), mine))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != filepath.Base(l.recordFile(other.ID)+".new") {
		t.Error("left:", left, err)
	}
	must(t, l.ReleaseNetwork(deadline(t), other))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("records are left")
	}
}
