// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"dovesnap/cli"
	"dovesnap/config"
	"dovesnap/status"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run this binary as dovesnap, with actions that stand in for the
// real ones. The daemon serves a status, and what else it does FAKE says:
//
//	ill   its status has a problem
//	fail  it fails at once, with an error of two lines
//	hang  it ignores the end of its context
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dovesnap": func() {
		actions := cli.Actions{Run: run, Down: say("down"), Cleanup: say("cleanup"),
			Refuse:     func(_ context.Context, cause error) { fmt.Println("refusing:", cause) },
			OVSRestart: say("restart"), OVSSave: say("save"), OVSRun: sayOf("run"), OVSReady: sayOf("ready"),
			LinkMAC: func(_ context.Context, endpoint, mac string, log *slog.Logger) error {
				log.Info("mac", "endpoint", endpoint[:4], "mac", mac)
				return nil
			},
			FaucetInit: func(c config.Config) (string, error) { return "added to " + c.Faucet.Config, nil }}
		os.Exit(cli.Execute(actions, os.Args[1:], os.Stdout, os.Stderr))
	}})
}

func run(ctx context.Context, c config.Config, log *slog.Logger) error {
	if os.Getenv("FAKE") == "fail" {
		return errors.New("cannot open database \"conf.db\":\nno space left")
	}
	l, err := status.Listen(ctx, c.RunDir)
	if err != nil {
		return err
	}
	if os.Getenv("FAKE") == "hang" {
		log.Info("serving")
		<-ctx.Done()
		if err := os.WriteFile(c.RunDir+"/stopping", nil, 0o600); err != nil {
			return err
		}
		select {}
	}
	return status.Serve(ctx, l, func(context.Context) (status.Status, error) {
		s := status.Status{Version: "test", PID: 7, OVS: status.OVS{Mode: "managed", Ready: true}, Docker: status.Docker{Connected: true}}
		if os.Getenv("FAKE") == "ill" {
			s.Problems = []string{"something is wrong"}
		}
		return s, nil
	}, log)
}

func say(what string) func(context.Context, config.Config, *slog.Logger) error {
	return func(_ context.Context, c config.Config, log *slog.Logger) error {
		log.Info(what, "run_dir", c.RunDir)
		return nil
	}
}

func sayOf(what string) cli.OVSAction {
	return func(_ context.Context, c config.Config, daemon string, log *slog.Logger) error {
		log.Info(what, "child", daemon, "run_dir", c.RunDir)
		return nil
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(2 * time.Minute),
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second per command otherwise
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "terminate": terminate},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "exists-unit-dir":
				_, err := os.Stat("/usr/lib/systemd/system")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
	})
}

// await waits until a file is there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-late:
			ts.Fatalf("%s does not appear", args[0])
		case <-tick.C:
		}
	}
}

// terminate sends SIGTERM to what runs in the background; the command kill knows
// SIGINT and SIGKILL only.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: terminate")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}
