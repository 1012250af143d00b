package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchChatCommand() *cobra.Command {
	cfg := bench.DefaultChatConfig()
	var tokenFile, addr, jsonFile string
	var withStore bool
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Users write to all their friends",
		Long: `Users write to all their friends. Without --addr and --http a server of its own is
started from this binary, on free ports, and stopped afterwards. With them, the
users are provisioned when --operator-token-file is given, and register
otherwise.

Without --rate each user has --window messages unanswered. With --rate, message
k is due k/rate seconds after the start whatever the server does, and latencies
count from there.

With --duration, the first SIGINT means that it is enough: nothing more is sent,
and what was sent is judged. The next one ends the run as it is.`,
		Example: `  skein bench chat
  skein bench chat --users 100 --rate 2000 --duration 30s
  skein bench chat --addr tcp://127.0.0.1:7001 --http http://127.0.0.1:7080 --operator-token-file skein-data/operator.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			if cfg.Duration > 0 {
				stop()
				ctx, stop, cfg.Enough = enoughFirst(cmd)
			}
			defer stop()
			cfg.Link = addr
			if strings.HasPrefix(addr, "http") {
				cfg.Link, cfg.HTTP = "", addr
			}
			if err := completeChat(&cfg, tokenFile, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return runChat(ctx, cmd, cfg, jsonFile, withStore)
		},
	}
	addChatFlags(cmd.Flags(), &cfg)
	f := cmd.Flags()
	f.StringVar(&addr, "addr", "", "link address of a running server: tcp://, tls://, ws:// or wss://")
	f.StringSliceVar(&cfg.Routers, "router", nil, "URLs of routers, which say where to connect; --addr counts while none of them does")
	f.StringVar(&tokenFile, "operator-token-file", "", "file with the running server's operator token")
	f.BoolVar(&withStore, "with-store", false, "afterwards measure the store alone with the same messages, and compare")
	f.StringVar(&jsonFile, "json", "", "write the result as JSON to a file; -: to standard output, instead of the summary")
	return cmd
}

func addChatFlags(f *pflag.FlagSet, cfg *bench.ChatConfig) {
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
	f.StringVar(&cfg.HTTP, "http", "", "base URL of a running server's HTTP API")
	f.IntVar(&cfg.ServerPID, "server-pid", 0, "process whose CPU time and memory to report")
	f.StringVar(&cfg.Data, "data", "", "data directory of the own server, kept afterwards; empty: a temporary one")
	f.StringArrayVar(&cfg.ServerArgs, "server-arg", nil, "argument for the own server, like --server-arg=--shards=2")
	f.DurationVar(&cfg.Stall, "stall", cfg.Stall, "give up when nothing has arrived for so long")
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

// runChat runs, reports, and turns a bad result into the exit status.
func runChat(ctx context.Context, cmd *cobra.Command, cfg bench.ChatConfig, jsonFile string, withStore bool) error {
	res, err := bench.Chat(ctx, cfg)
	if res == nil {
		return err
	}
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "skein:", err)
	}
	good := err == nil && res.Good
	if !withStore || !good {
		err = tell(cmd.OutOrStdout(), jsonFile, res, res.WriteSummary)
		return statusOf(good, err)
	}
	scfg := bench.DefaultStoreConfig()
	scfg.Messages, scfg.Users, scfg.Friends = int(res.Sent), cfg.Users, cfg.Friends
	scfg.Seed, scfg.Body, scfg.Version = cfg.Seed, cfg.Body, cfg.Version
	if cfg.Data != "" {
		scfg.Data = filepath.Dir(filepath.Clean(cfg.Data))
	}
	alone, err := bench.Store(ctx, scfg)
	if err != nil {
		return err
	}
	both := bench.NewComparison(res, alone)
	err = tell(cmd.OutOrStdout(), jsonFile, both, both.WriteSummary)
	return statusOf(alone.Good, err)
}

// statusOf is the exit status 1 for a run that was not good.
func statusOf(good bool, err error) error {
	if err == nil && !good {
		return exitCode(1)
	}
	return err
}
