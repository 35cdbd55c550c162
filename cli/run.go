// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"dovesnap/config"
	"dovesnap/status"

	"github.com/spf13/cobra"
)

type action = func(context.Context, config.Config, *slog.Logger) error

func runCommand(a Actions) *cobra.Command {
	c := actionCommand("run", &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT; a second one ends it
at once. As a service it is started by "dovesnap service start".

It starts Open vSwitch unless one runs, serves Docker's network driver, and puts
right whatever changed while it was away. When it ends, Open vSwitch and the
containers' traffic go on.`,
	}, func(ctx context.Context, c config.Config, log *slog.Logger) error {
		log.Info("begin", "version", Version(), "pid", os.Getpid())
		err := a.Run(ctx, c, log)
		if err == nil {
			log.Info("end")
		}
		return err
	})
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		err := run(c, args)
		if err != nil { // a configuration that cannot be used, too
			a.Refuse(context.Background(), err)
		}
		return err
	}
	return c
}

func downCommand(down action) *cobra.Command {
	return actionCommand("take down Open vSwitch", &cobra.Command{
		Use:   "down",
		Short: "Stop the Open vSwitch that dovesnap started",
		Long: `Stop the Open vSwitch that dovesnap started. All containers on its networks are
cut off; the networks themselves stay, and come back with the next start.

Stop the daemon first: dovesnap service stop. An Open vSwitch that somebody else
started is left alone.`,
	}, unlessRunning("take down Open vSwitch", down))
}

func cleanupCommand(cleanup action) *cobra.Command {
	return actionCommand("clean up", &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what dovesnap has made on this host",
		Long: `Remove what dovesnap has made on this host: bridges, links, packet filter rules,
runtime files, its file of Faucet's configuration, and the Open vSwitch that it
started. What is not dovesnap's own is left alone.

What Faucet was told otherwise stays: the line that "dovesnap faucet init" added to
faucet.yaml, and, with faucet.mode rpc, the VLANs and ACLs at the server, with the
datapaths of networks that are still there.

Remove the networks from Docker first (docker network rm) and stop the daemon
(dovesnap service stop). Containers that are still on a network are cut off.`,
	}, unlessRunning("clean up", cleanup))
}

// actionCommand completes a command that reads the configuration and does what
// only root can.
func actionCommand(verb string, c *cobra.Command, do action) *cobra.Command {
	config.AddFlags(c.Flags())
	c.Args = noArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.Load(c.Flags(), os.Environ(), config.DefaultFile)
		if err != nil {
			return err
		}
		if os.Geteuid() != 0 {
			return fmt.Errorf("cannot %s: only root may", verb)
		}
		ctx, stop := untilSignal()
		defer stop()
		return do(ctx, conf, newLogger(conf, c.ErrOrStderr()))
	}
	return c
}

// untilSignal returns a context that ends with the first SIGTERM or SIGINT.
// signal.NotifyContext would still swallow a second one that comes close behind;
// here it ends the program.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals) // first this, then the news
		cancel()
	}()
	return ctx, cancel
}

// unlessRunning keeps an action from undoing what a running daemon would at once
// do again.
func unlessRunning(verb string, do action) action {
	return func(ctx context.Context, c config.Config, log *slog.Logger) error {
		s, err := status.Get(ctx, status.Socket(c.RunDir))
		switch {
		case err == nil:
			return fmt.Errorf("cannot %s: the daemon runs (pid %d); stop it first: dovesnap service stop", verb, s.PID)
		case !errors.Is(err, status.ErrNotRunning):
			return fmt.Errorf("cannot %s: the daemon runs, but: %w", verb, err)
		}
		return do(ctx, c, log)
	}
}
