package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/node"
	"github.com/skein-im/skein/internal/supervise"
)

// workerName is the command that a node starts its workers with.
const workerName = "gateway-worker"

// workerCommand is this program as a worker.
func workerCommand() *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	if onTerminal() {
		// The worker cannot see it: its standard error is a pipe to here.
		return exec.Command(program, workerName, "--log-text")
	}
	return exec.Command(program, workerName)
}

func newWorkerCommand() *cobra.Command {
	var text bool
	cmd := &cobra.Command{
		Use:    workerName,
		Short:  "Serve long links for another process",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, out, err := supervise.Pipes()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			// A second signal ends it at once.
			context.AfterFunc(ctx, stop)
			logger := func(level slog.Leveler) *slog.Logger { return newLogger(level, text) }
			return node.RunWorker(ctx, in, out, node.WorkerOptions{Logger: logger, Version: version})
		},
	}
	cmd.Flags().BoolVar(&text, "log-text", false, "write the log as text")
	return cmd
}
