// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"os"
	"syscall"
)

// stamp tells whether a file has changed.
type stamp struct {
	size    int64
	mtime   int64
	ino     uint64
	missing bool
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{missing: true}
	}
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ino = sys.Ino
	}
	return s
}
