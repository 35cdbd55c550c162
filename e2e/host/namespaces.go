// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// allNamespaces are the ones a host has of its own.
const allNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// onThread runs do on an operating system thread that ends with it, so that do
// may change what belongs to a thread: its namespaces, root and working
// directory. Processes that do starts inherit them and are still ordinary
// children of this process, which nsenter(1) cannot offer.
func onThread(do func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime ends a locked thread with its goroutine.
		runtime.LockOSThread()
		// But the first, which it would park as it is: /proc/self is that one's.
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onThread(do)
			return
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("cannot unshare file system attributes: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}

// enter moves the calling thread into the namespaces (a set of CLONE_NEW*
// flags) of the process or namespace that fd stands for: setns(2).
func enter(fd, namespaces int) error {
	if err := unix.Setns(fd, namespaces); err != nil {
		return fmt.Errorf("cannot enter namespaces: %w", err)
	}
	return nil
}
