package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchScaleCommand() *cobra.Command {
	cfg := bench.DefaultScaleConfig()
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "The same chat on more and more mailbox nodes",
		Long: `Starts a Redis or PostgreSQL of its own (which must be installed), a gateway and
mailbox nodes, lets users write to all their friends, and stops all of it again;
once for every number of nodes. On one machine more nodes are not
faster: what is to be seen is whether a message costs more processor time, and
whether nodes get into each other's way.`,
		Example: `  skein bench scale
  skein bench scale --nodes 1,2,4 --cluster
  skein bench scale --nodes 1,2 --store postgres --cluster
  skein bench scale --nodes 2 --users 200 --friends 10 --json -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, stop := interruptible(cmd)
			defer stop()
			cfg.Chat.Version, cfg.Chat.Progress = version, terminal(cmd.ErrOrStderr())
			if cfg.Chat.Program, err = os.Executable(); err != nil {
				return err
			}
			res, err := bench.Scale(ctx, cfg)
			if err != nil {
				return err
			}
			return statusOf(res.Good, tell(cmd.OutOrStdout(), jsonFile, res, res.WriteSummary))
		},
	}
	f, chat := cmd.Flags(), &cfg.Chat
	f.IntSliceVar(&cfg.Nodes, "nodes", cfg.Nodes, "numbers of mailbox nodes")
	f.StringVar(&cfg.Store, "store", cfg.Store, "what the nodes share: redis or postgres")
	f.BoolVar(&cfg.Cluster, "cluster", false, "instead of one server: a Redis Cluster of three primaries, or a primary of PostgreSQL with standbys")
	f.IntVar(&cfg.Replicas, "replicas", cfg.Replicas, "with --cluster: replicas per primary, or standbys")
	f.IntVar(&cfg.Confirm, "confirm", cfg.Confirm, "with --cluster: how many of them must have a write before it is acknowledged")
	f.IntVar(&chat.Users, "users", chat.Users, "how many users")
	f.IntVar(&chat.Friends, "friends", chat.Friends, "how many friends each has on average")
	f.IntVar(&chat.Messages, "messages", chat.Messages, "how many messages each sends to each friend")
	f.Uint64Var(&chat.Seed, "seed", chat.Seed, "who is whose friend, and who writes when")
	f.IntVar(&chat.Body, "body", chat.Body, "bytes per message")
	f.IntVar(&chat.Window, "window", chat.Window, "unanswered messages per user, without --rate")
	f.Float64Var(&chat.Rate, "rate", 0, "messages per second of all users together")
	f.StringArrayVar(&chat.ServerArgs, "server-arg", nil, "argument for every node")
	f.StringVar(&jsonFile, "json", "", "write the result as JSON to a file; -: to standard output, instead of the summary")
	return cmd
}
