// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"slices"
	"testing"
)

// What is wrong with an endpoint, or a part of it, is told with the endpoint, which
// people know by its container.
func TestTake(t *testing.T) {
	problems := map[string]string{
		"endpoint 0123": "its link is gone", "published ports of endpoint 0123": "port 80 is in use", "labels of endpoint 0123": "no such ACL",
		"endpoint 01234": "another's", "labels of endpoint 01234": "another's part", "sweep": "the host's",
	}
	got := take(problems, "endpoint 0123")
	if want := []string{"its link is gone", "labels: no such ACL", "published ports: port 80 is in use"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if left := slices.Sorted(maps.Keys(problems)); !slices.Equal(left, []string{"endpoint 01234", "labels of endpoint 01234", "sweep"}) {
		t.Errorf("left: %q", left)
	}
	if got := take(problems, "endpoint 0123"); got != nil {
		t.Errorf("taken twice: %q", got)
	}
}
