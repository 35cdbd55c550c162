// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"fmt"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sys/unix"
)

// refusal is an error that the database answered with (RFC 7047 section 4.1.3).
type refusal struct{ kind, details string }

func (r *refusal) Error() string {
	return fmt.Sprintf("Open vSwitch's database refused: %s: %s", r.kind, r.details)
}

// newRefusal returns the refusal that an answer is. Why a file could not be written
// ovsdb-server says in a member "io-error" of its own, which libovsdb drops; a disk
// that is full, which somebody can mend, is seen from here too.
func newRefusal(answer ovsdb.OperationResult) *refusal {
	r := &refusal{kind: answer.Error, details: answer.Details}
	if file, _, ok := strings.Cut(r.details, ": "); ok && r.kind == "I/O error" && full(file) {
		r.details += " (No space left on device)"
	}
	return r
}

// fullBelow is more than a transaction writes.
const fullBelow = 64 << 10

// full tells whether a file's file system has no room left.
func full(file string) bool {
	var fs unix.Statfs_t
	err := unix.Statfs(file, &fs)
	return err == nil && fs.Blocks > 0 && fs.Bavail*uint64(fs.Bsize) < fullBelow
}
