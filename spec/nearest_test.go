// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"testing"

	"dovesnap/spec"
)

func TestNearest(t *testing.T) {
	candidates := []string{"level", "format", "mode"}
	for _, tt := range []struct{ in, want string }{
		{"levle", "level"}, {"formt", "format"}, {"mod", "mode"}, {"mode", "mode"}, {"", "mode"},
	} {
		if got := spec.Nearest(tt.in, candidates); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := spec.Nearest("x", nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}
