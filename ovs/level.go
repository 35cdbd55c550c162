// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"sync"
)

// level is a rising number that goroutines wait for.
type level struct {
	mu      sync.Mutex
	value   int
	changed chan struct{} // closed at the next change; made when somebody waits
}

func (l *level) set(v int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// await returns nil once the level is at least v, and ctx's error otherwise.
func (l *level) await(ctx context.Context, v int) error {
	for {
		l.mu.Lock()
		if l.value >= v {
			l.mu.Unlock()
			return nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
