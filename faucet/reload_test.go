// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"fmt"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSystemd has a systemctl of its own in PATH.
func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	program := "#!/bin/sh\n[ $1 = show ] && { cat " + dir + "/pid; exit; }\necho \"$*\" >>" + log + "\n[ -e " + dir + "/$1 ] || { echo no such thing >&2; exit 3; }\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	write(t, filepath.Join(dir, "pid"), "0\n")

	if err := reload(t.Context(), "systemd:f.service"); err == nil || err.Error() != `cannot reload unit "f.service": exit status 3: no such thing` {
		t.Errorf("got %v", err)
	}
	write(t, filepath.Join(dir, "reload"), "")
	for _, how := range []string{"systemd:f.service", "auto"} {
		if err := reload(t.Context(), how); err != nil {
			t.Error(err)
		}
	}
	write(t, filepath.Join(dir, "is-active"), "")
	if err := reload(t.Context(), "auto"); err != nil {
		t.Error(err)
	}
	sleep := exec.CommandContext(t.Context(), "sleep", "60") // it would die of a SIGHUP
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "pid"), fmt.Sprintln(sleep.Process.Pid))
	if err := reload(t.Context(), "systemd:f.service"); err == nil || err.Error() != `cannot reload unit "f.service": it is only starting` {
		t.Errorf("got %v", err)
	}
	want := "reload -- f.service\nreload -- f.service\nis-active --quiet faucet.service\nis-active --quiet faucet.service\nreload -- faucet.service\n"
	if got := read(t, log); got != want {
		t.Errorf("ran %s", got)
	}
}

func TestPidfile(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	tell := func() string {
		if err := reload(t.Context(), "pidfile:"+pidfile); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := tell(); !strings.HasPrefix(got, "cannot find Faucet's process: open ") {
		t.Error(got)
	}
	write(t, pidfile, "-1\n")
	if got := tell(); got != `cannot find Faucet's process: "`+pidfile+`" has no process id` {
		t.Error(got)
	}
	// Its command line has "./faucet" in it, if that is how the tests were started.
	write(t, pidfile, fmt.Sprint(os.Getppid()))
	if got := tell(); !strings.HasSuffix(got, `is another program`) {
		t.Error(got)
	}
	// Otherwise sh could not trap it where the tests run under nohup(1).
	hup := make(chan os.Signal, 1)
	ossignal.Notify(hup, unix.SIGHUP)
	defer ossignal.Stop(hup)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `trap 'exit 7' HUP; echo ready; while :; do read -r line || :; done`, "faucet.faucet")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // which the shell waits for
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	write(t, pidfile, fmt.Sprintln(cmd.Process.Pid))
	if got := tell(); got != "" {
		t.Error(got)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("it did not get the signal: %v", err)
	}
	if got := tell(); !strings.HasSuffix(got, "no such process") {
		t.Error(got)
	}
}
