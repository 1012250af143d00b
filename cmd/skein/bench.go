package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a server and check every message",
		Long: `Puts load on a server and checks that every message arrives at every device of
its receiver, once and in order, and that every connection lasts. The exit
status is 1 unless all did.`,
		Example: `  skein bench chat                              users write to all their friends
  skein bench connect --conns 50000             many connections, held and pushed to
  skein bench overload                          more messages than the server can take
  skein bench scale                             the same chat on more and more nodes`,
	}
	cmd.AddCommand(newBenchChatCommand(), newBenchStoreCommand(), newBenchDatasetCommand(),
		newBenchConnectCommand(), newBenchOverloadCommand(), newBenchEnvelopesCommand(), newBenchScaleCommand(), newBenchSwarmCommand())
	return cmd
}

// terminal is w if it is one, else nil.
func terminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// interruptible is the command's context, which ends with SIGINT or SIGTERM.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// enoughFirst is interruptible where the first SIGINT only closes enough.
func enoughFirst(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc, enough <-chan struct{}) {
	ctx, stopTerm := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
	ctx, cancel := context.WithCancel(ctx)
	told, interrupts := make(chan struct{}), make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-interrupts:
			}
			if n > 0 {
				cancel()
				return
			}
			close(told)
		}
	}()
	return ctx, func() {
		signal.Stop(interrupts)
		cancel()
		stopTerm()
	}, told
}

// conclude says what a benchmark has found and what went wrong with it, and makes the
// exit status of both.
func conclude(cmd *cobra.Command, file string, res any, good bool, summary func(io.Writer), err error) error {
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "skein:", err)
	}
	return statusOf(err == nil && good, tell(cmd.OutOrStdout(), file, res, summary))
}

// tell writes a result as JSON to a file, and the summary for people unless
// that file is standard output.
func tell(out io.Writer, file string, res any, summary func(io.Writer)) error {
	if file != "-" {
		summary(out)
	}
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(res, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if file == "-" {
		_, err = out.Write(b)
		return err
	}
	return os.WriteFile(file, b, 0o644)
}
