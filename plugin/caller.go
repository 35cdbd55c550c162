// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// callerKey is the key of a connection's caller in its context.
type callerKey struct{}

// withCaller notes which process has opened a connection.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, callerOf(c))
}

// caller returns the process that makes a call, as Ended takes it; "" when it cannot be
// told, as of one in another process namespace.
func caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

func callerOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ""
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	began, err := startOf(pid)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d since %s", pid, began)
}

// Ended reports whether a process that made a call, "<pid> since <start>", is no more;
// false for "".
func Ended(process string) bool {
	text, began, ok := strings.Cut(process, " since ")
	pid, err := strconv.Atoi(text)
	if !ok || err != nil {
		return false
	}
	now, err := startOf(pid)
	return errors.Is(err, os.ErrNotExist) || err == nil && now != began
}

// startOf returns when a process began, in clock ticks since the host's boot:
// proc_pid_stat(5), field 22.
func startOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name, in parentheses, with anything in it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const start = 22 - 3
	if len(fields) <= start {
		return "", fmt.Errorf("cannot read /proc/%d/stat: it is short", pid)
	}
	return fields[start], nil
}
