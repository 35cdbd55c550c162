// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Program is where the binary under test is in a host.
const Program = "/usr/sbin/dovesnap"

// PluginSockets are those of the two driver names.
var PluginSockets = []string{"/run/docker/plugins/ovs.sock", "/run/docker/plugins/dovesnap.sock"}

// Build runs the go command, args being what it is to build and how ("build",
// "-o", …), in the module's root directory. What it makes is linked statically,
// to run in every suite, and has the race detector when that is asked for and
// this machine can (a C compiler).
func Build(ctx context.Context, module string, race bool, args ...string) error {
	// The version system is not asked: it may be absent, or refuse root.
	build := func(cgo string, flags ...string) error {
		flags = append([]string{args[0], "-buildvcs=false"}, flags...)
		cmd := exec.CommandContext(ctx, "go", append(flags, args[1:]...)...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w: %s", args[len(args)-1], err, tail(out, 20))
		}
		return nil
	}
	if race && build("1", "-race", "-tags=netgo,osusergo", "-ldflags=-linkmode=external -extldflags=-static") == nil {
		return nil
	}
	return build("0")
}

// StartDovesnap starts "dovesnap run" with further flags, from the machine's
// file binary, and returns when both of its sockets accept connections.
func (h *Host) StartDovesnap(ctx context.Context, binary string, flags ...string) (*Process, error) {
	if err := h.Install(binary, Program); err != nil {
		return nil, err
	}
	p, err := h.Start("dovesnap", append([]string{Program, "run"}, flags...)...)
	if err != nil {
		return nil, err
	}
	err = Await(ctx, "dovesnap's sockets", func() error {
		errs := []error{p.ended()}
		for _, socket := range PluginSockets {
			errs = append(errs, h.Listening(socket))
		}
		return errors.Join(errs...)
	})
	return p, err
}
