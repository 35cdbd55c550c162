// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
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
// file binary, and returns when it has told the service manager that it is
// ready and both of its sockets accept connections.
func (h *Host) StartDovesnap(ctx context.Context, binary string, flags ...string) (*Process, error) {
	if err := h.Install(binary, Program); err != nil {
		return nil, err
	}
	manager, address, err := h.serviceManager()
	if err != nil {
		return nil, err
	}
	cmd := Command(append([]string{Program, "run"}, flags...))
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+address)
	p, err := h.startProcess("dovesnap", cmd, h.inside())
	if err != nil {
		return nil, errors.Join(err, manager.Close())
	}
	ready := make(chan struct{})
	go func() {
		<-p.done
		_ = manager.Close()
	}()
	go listen(manager, ready)
	select {
	case <-ready:
	case <-p.done:
		return nil, p.ended()
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot wait for dovesnap to be ready: %w", ctx.Err())
	}
	for _, socket := range PluginSockets {
		if err := h.Listening(socket); err != nil {
			return nil, err
		}
	}
	return p, nil
}

var managers atomic.Int64

// serviceManager opens a socket for one daemon's sd_notify(3), with an abstract
// address: those belong to the network namespace and leave no file.
func (h *Host) serviceManager() (conn *net.UnixConn, address string, err error) {
	address = fmt.Sprintf("@service-manager-%d", managers.Add(1))
	err = onThread(func() error {
		if err := enter(h.pidfd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
		return err
	})
	return conn, address, err
}

// listen reads what a daemon says until the socket is closed (a full one would
// block it), and closes ready when it says so.
func listen(manager *net.UnixConn, ready chan<- struct{}) {
	message := make([]byte, 4096)
	for said := false; ; {
		n, err := manager.Read(message)
		if err != nil {
			return
		}
		if !said && slices.Contains(strings.Split(string(message[:n]), "\n"), "READY=1") {
			said = true
			close(ready)
		}
	}
}
