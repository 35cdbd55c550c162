// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

// Who calls is the process at the other end, and it has ended when it has.
func TestCaller(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dial.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	me := caller(withCaller(t.Context(), c))
	if me == "" || Ended(me) {
		t.Errorf("this process is %q, ended: %v", me, Ended(me))
	}
	if !Ended(me + "1") {
		t.Error("one of the same number that began at another time counts as this one")
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	began, err := startOf(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	process := func() string { return fmt.Sprintf("%d since %s", child.Process.Pid, began) }
	if Ended(process()) {
		t.Error("a process that runs has ended")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if !Ended(process()) {
		t.Error("a process that was killed has not ended")
	}
	for _, unknown := range []string{"", "x since 1", "12"} {
		if Ended(unknown) {
			t.Errorf("%q has ended", unknown)
		}
	}
	if got := caller(t.Context()); got != "" {
		t.Errorf("nobody is %q", got)
	}
}
