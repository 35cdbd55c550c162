// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"dovesnap/e2e/host"
)

// A runDirectory is where a guest's disk, sockets and logs are while it runs.
type runDirectory struct {
	path string
	lock *os.File // held while it is in use
}

// runDir makes one, and removes those of processes that were killed.
func runDir() (*runDirectory, error) {
	parent := filepath.Join(host.CacheDir(), "vm", "run")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	// Nobody sweeps what another has made and not locked yet.
	one, err := lock(parent+".lock", unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer one.Close()
	old, _ := filepath.Glob(filepath.Join(parent, "*.lock"))
	for _, path := range old {
		if l, err := lock(path, unix.LOCK_EX|unix.LOCK_NB); err == nil {
			(&runDirectory{strings.TrimSuffix(path, ".lock"), l}).remove()
		}
	}
	path, err := os.MkdirTemp(parent, "")
	if err != nil {
		return nil, err
	}
	l, err := lock(path+".lock", unix.LOCK_EX)
	return &runDirectory{path, l}, err
}

func (d *runDirectory) remove() {
	_ = os.RemoveAll(d.path)
	_ = os.Remove(d.path + ".lock")
	_ = d.lock.Close()
}
