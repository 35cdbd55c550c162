// SPDX-License-Identifier: Apache-2.0

package nat

import (
	"errors"
	"slices"
	"time"
)

// Two programs that each put their rules back must not keep the host busy: after
// a burst, repairs are rare.
const (
	repairBurst  = 5
	repairWindow = time.Minute
)

// repairs remembers when Check found a change.
type repairs struct {
	now  func() time.Time
	last []time.Time
}

// allow notes a repair, or says why it has to wait: there were repairBurst of
// them within the last repairWindow.
func (r *repairs) allow() error {
	now := r.now()
	r.last = slices.DeleteFunc(r.last, func(t time.Time) bool { return now.Sub(t) >= repairWindow })
	if len(r.last) >= repairBurst {
		return errors.New("somebody changes our packet filter rules again and again; they are written again in less than a minute")
	}
	r.last = append(r.last, now)
	return nil
}
