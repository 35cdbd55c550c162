// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What was known just now is young whatever the clock says, and what an earlier boot
// knew is old. One that was written, and not yet known, is as old as the clock says.
func TestAgeOfFlows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ours")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, known(file))
	st, err := os.Stat(file)
	must(t, err)
	if time.Duration(st.ModTime().UnixNano()) > sinceBoot() {
		t.Errorf("known by the clock: %s", st.ModTime())
	}
	for _, test := range []struct {
		what string
		at   time.Time
		old  bool
	}{
		{"known now", st.ModTime(), false},
		{"known in an earlier boot", time.Unix(0, int64(sinceBoot()+time.Hour)), true},
		{"written now", time.Now(), false},
		{"written an hour ago", time.Now().Add(-time.Hour), true},
	} {
		if got := age(test.at); (got > 10*time.Minute) != test.old {
			t.Errorf("%s: %s old", test.what, got)
		}
	}
}
