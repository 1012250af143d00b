package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a server and check every message",
		Long: `Puts load on a server and checks that every message arrives at every device of
its receiver, once and in order. The exit status is 1 unless all did.`,
	}
	cmd.AddCommand(newBenchChatCommand(), newBenchDatasetCommand())
	return cmd
}

func newBenchChatCommand() *cobra.Command {
	cfg := bench.DefaultChatConfig()
	var tokenFile, addr, jsonFile string
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Users write to all their friends",
		Long: `Users write to all their friends. Without --addr and --http a server of its own is
started from this binary, on free ports, and stopped afterwards. With them, the
users are provisioned when --operator-token-file is given, and register
otherwise.

Without --rate each user has --window messages unanswered. With --rate, message
k is due k/rate seconds after the start whatever the server does, and latencies
count from there.`,
		Example: `  skein bench chat
  skein bench chat --users 100 --rate 2000 --duration 30s
  skein bench chat --addr tcp://127.0.0.1:7001 --http http://127.0.0.1:7080 --operator-token-file skein-data/operator.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			cfg.Link = addr
			if strings.HasPrefix(addr, "http") {
				cfg.Link, cfg.HTTP = "", addr
			}
			if err := completeChat(&cfg, tokenFile, cmd.ErrOrStderr()); err != nil {
				return err
			}
			res, err := bench.Chat(ctx, cfg)
			if res == nil {
				return err
			}
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "skein:", err)
			}
			if werr := report(cmd.OutOrStdout(), jsonFile, res, res.WriteSummary); werr != nil {
				return werr
			}
			if err != nil || !res.Good {
				return exitCode(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Users, "users", cfg.Users, "how many users")
	f.IntVar(&cfg.Friends, "friends", cfg.Friends, "how many friends each has on average")
	f.IntVar(&cfg.Messages, "messages", cfg.Messages, "how many messages each sends to each friend")
	f.DurationVar(&cfg.Duration, "duration", 0, "send for so long instead of a number of messages")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "who is whose friend, and who writes when")
	f.IntVar(&cfg.Body, "body", cfg.Body, "bytes per message")
	f.IntVar(&cfg.Window, "window", cfg.Window, "unanswered messages per user, without --rate")
	f.Float64Var(&cfg.Rate, "rate", 0, "messages per second of all users together")
	f.IntVar(&cfg.Devices, "devices", cfg.Devices, "devices per user; the first one sends, all are checked")
	f.StringVar(&cfg.Transport, "transport", cfg.Transport, "tcp, ws or http")
	f.StringVar(&addr, "addr", "", "link address of a running server: tcp://, tls://, ws:// or wss://")
	f.StringVar(&cfg.HTTP, "http", "", "base URL of a running server's HTTP API")
	f.StringVar(&tokenFile, "operator-token-file", "", "file with the running server's operator token")
	f.IntVar(&cfg.ServerPID, "server-pid", 0, "process whose CPU time and memory to report")
	f.StringVar(&cfg.Data, "data", "", "data directory of the own server, kept afterwards; empty: a temporary one")
	f.StringArrayVar(&cfg.ServerArgs, "server-arg", nil, "argument for the own server, like --server-arg=--shards=2")
	f.DurationVar(&cfg.Stall, "stall", cfg.Stall, "give up when nothing has arrived for so long")
	f.StringVar(&jsonFile, "json", "", "write the result as JSON to a file; -: to standard output, instead of the summary")
	return cmd
}

// completeChat fills in what is not a flag.
func completeChat(cfg *bench.ChatConfig, tokenFile string, stderr io.Writer) error {
	cfg.Version = version
	cfg.Progress = terminal(stderr)
	if tokenFile != "" {
		b, err := os.ReadFile(tokenFile)
		if err != nil {
			return fmt.Errorf("the operator token: %w", err)
		}
		cfg.OperatorToken = strings.TrimSpace(string(b))
	}
	self, err := os.Executable()
	cfg.Program = self
	return err
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

// report writes a result as JSON to a file, and the summary for people unless
// that file is standard output.
func report(out io.Writer, file string, res any, summary func(io.Writer)) error {
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

func newBenchDatasetCommand() *cobra.Command {
	var users, friends, perRegion int
	var seed uint64
	var format, out string
	cmd := &cobra.Command{
		Use:   "dataset",
		Short: "Write a data set of users and friends",
		Long: `Writes who is whose friend. The same flags give the same file. Formats: article,
a line "user,friend,region" for each direction of each friendship, as
--article-data of serve reads it; json, one object.`,
		Example: "  skein bench dataset --users 1000 --friends 30 --format article --out friends.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := bench.NewDataset(users, friends, seed)
			if err != nil {
				return err
			}
			write := d.WriteJSON
			switch format {
			case "article":
				write = func(w io.Writer) error { return d.WriteArticle(w, perRegion) }
			case "json":
			default:
				return fmt.Errorf("format %q: one of article, json", format)
			}
			if out == "" || out == "-" {
				return write(cmd.OutOrStdout())
			}
			f, err := os.Create(out)
			if err != nil {
				return err
			}
			if err := write(f); err != nil {
				f.Close()
				return err
			}
			return f.Close()
		},
	}
	f := cmd.Flags()
	f.IntVar(&users, "users", 1000, "how many users, numbered from 1")
	f.IntVar(&friends, "friends", 30, "how many friends each has on average")
	f.Uint64Var(&seed, "seed", 1, "seed of the random numbers")
	f.StringVar(&format, "format", "article", "article or json")
	f.IntVar(&perRegion, "per-region", 1000, "users per region, in the article's format")
	f.StringVar(&out, "out", "", "file to write; empty or -: standard output")
	return cmd
}
