// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A request of our own making waits no longer than its caller.
func TestRawDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	h, err := openRaw(ctx)
	must(t, err)
	defer h.Close()
	answer := make(chan error, 1)
	go func() {
		_, _, err := h.raw[unix.NETLINK_ROUTE].Socket.Receive() // of a question that nobody asked
		answer <- err
	}()
	select {
	case err := <-answer:
		if err == nil {
			t.Error("there was an answer")
		}
	case <-time.After(requestTimeout / 2):
		t.Error("it waits although its caller has gone")
		<-answer
	}
}
