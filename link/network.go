// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dovesnap/spec"
)

// CheckNetwork refuses a new network whose bridge has the name of an interface,
// or whose uplinks cannot go into a bridge without cutting the host off or taking
// them from somebody else. The error names everything that is wrong.
//
// Call it only for a network that OVSDB does not have yet: it refuses the
// network's own bridge, and uplinks that are in it (the kernel shows them as
// ports of ovs-system, not of which bridge).
func (l *Links) CheckNetwork(ctx context.Context, n spec.Network) error {
	var problems []string
	if err := checkName(ctx, n.Bridge); err != nil {
		problems = append(problems, fmt.Sprintf("cannot make bridge %q: %v", n.Bridge, err))
	}
	for _, u := range n.Uplinks {
		if err := checkUplink(ctx, u.Name); err != nil {
			problems = append(problems, fmt.Sprintf("cannot add port %q: %v", u.Name, err))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// checkName looks among the alternative names of interfaces, too.
func checkName(ctx context.Context, name string) error {
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.find(name)
	if link == nil || err != nil {
		return err
	}
	return fmt.Errorf("the host has an interface of that name already (type %s)", link.Type())
}
