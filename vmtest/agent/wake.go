// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"

	"golang.org/x/sys/unix"
)

// wake tells a guest that was restored from a file what it cannot know: the
// time, and something that other copies of it have not, so that they do not make
// the same keys, ids and port numbers.
func wake(now float64, seed []byte) error {
	pool, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Write(seed); err != nil {
		return err
	}
	// What is written only counts when the generator is seeded again (random(4)).
	if err := unix.IoctlSetInt(int(pool.Fd()), unix.RNDRESEEDCRNG, 0); err != nil {
		return err
	}
	tv := unix.NsecToTimeval(int64(now * 1e9))
	return unix.Settimeofday(&tv)
}
