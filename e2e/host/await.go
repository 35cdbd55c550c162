// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"time"
)

// Await calls check again and again until it returns nil. When the context ends
// first, the error names what was awaited and why the last check failed.
func Await(ctx context.Context, what string, check func() error) error {
	const pause = 20 * time.Millisecond
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for %s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}
