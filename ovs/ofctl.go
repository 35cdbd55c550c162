// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ofctl asks a bridge itself, through the socket of its own that is beside OVSDB's
// (ovs-vswitchd(8)), what command of ovs-ofctl's says.
func (s *Switch) ofctl(ctx context.Context, bridge, command string, args ...string) ([]byte, error) {
	socket := filepath.Join(filepath.Dir(strings.TrimPrefix(s.endpoint, "unix:")), bridge+".mgmt")
	argv := append([]string{"--timeout=5", "--protocols=OpenFlow10,OpenFlow13,OpenFlow14", "--no-names", "--no-stats", command, "unix:" + socket}, args...)
	out, err := exec.CommandContext(ctx, "ovs-ofctl", argv...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(strings.TrimSpace(string(exit.Stderr)), "\n", " "))
	}
	return out, err
}

// dumpFlows lists the flows of a bridge, all or those that match.
func (s *Switch) dumpFlows(ctx context.Context, bridge string, match ...string) ([]byte, error) {
	out, err := s.ofctl(ctx, bridge, "dump-flows", match...)
	if err != nil {
		return nil, fmt.Errorf("cannot list flows of bridge %q: %w", bridge, err)
	}
	return out, nil
}

var flowCount = regexp.MustCompile(`flow_count=(\d+)`)

// flows counts the flows of a bridge.
func (s *Switch) flows(ctx context.Context, bridge string) (int, error) {
	out, err := s.ofctl(ctx, bridge, "dump-aggregate")
	if err != nil {
		return 0, fmt.Errorf("cannot count flows of bridge %q: %w", bridge, err)
	}
	m := flowCount.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("cannot count flows of bridge %q: ovs-ofctl says %q", bridge, out)
	}
	return strconv.Atoi(string(m[1]))
}
