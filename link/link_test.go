// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"net"
	"strings"
	"testing"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
)

// Listing while links come and go makes the kernel interrupt the dump.
func TestDumpRetries(t *testing.T) {
	ctx := deadline(t)
	calls := 0
	items, err := dump(ctx, func() ([]int, error) {
		if calls++; calls < 3 {
			return []int{1}, netlink.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	})
	must(t, err)
	if len(items) != 2 || calls != 3 {
		t.Errorf("%v after %d calls", items, calls)
	}
	_, err = dump(ctx, func() ([]int, error) { return nil, netlink.ErrDumpInterrupted })
	wantError(t, err, "10 times in a row")
	_, err = dump(ctx, func() ([]int, error) { return nil, net.ErrClosed })
	wantError(t, err, net.ErrClosed.Error())
}

func TestCancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l := newLinks()
	_, err := l.Endpoints(ctx)
	for name, err := range map[string]error{
		"ReleaseNetwork": l.ReleaseNetwork(ctx, with("lo")),
		"EnsureVeth":     l.EnsureVeth(ctx, spec.Network{}, endpoint("0123456789ab"), false),
		"DeleteVeth":     l.DeleteVeth(ctx, "0123456789ab"),
		"Endpoints":      err,
		"CheckNetwork":   l.CheckNetwork(ctx, spec.Network{Bridge: "lo"}),
	} {
		if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
