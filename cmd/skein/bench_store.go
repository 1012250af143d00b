package main

import (
	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchStoreCommand() *cobra.Command {
	cfg := bench.DefaultStoreConfig()
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Measure a store alone",
		Long: `Commits what the mailboxes of a chat would commit, and nothing else, as fast as
the store takes it with every commit on disk; then opens the store again and
checks that every message is there. The changes are made by the real mailboxes
beforehand, which takes about 1 KiB of memory per message. With --store postgres
it starts servers of its own, which must be installed.`,
		Example: `  skein bench store --messages 150000 --batch 64 --shards 2
  skein bench store --store postgres --standbys 2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			cfg.Version = version
			res, err := bench.Store(ctx, cfg)
			if err != nil {
				return err
			}
			return statusOf(res.Good, tell(cmd.OutOrStdout(), jsonFile, res, res.WriteSummary))
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Messages, "messages", cfg.Messages, "how many messages in all")
	f.IntVar(&cfg.Users, "users", cfg.Users, "how many users")
	f.IntVar(&cfg.Friends, "friends", cfg.Friends, "how many friends each has on average")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "who is whose friend, and who writes when")
	f.IntVar(&cfg.Body, "body", cfg.Body, "bytes per message")
	f.IntVar(&cfg.Batch, "batch", cfg.Batch, "messages accepted per commit")
	f.IntVar(&cfg.Shards, "shards", cfg.Shards, "goroutines that commit")
	f.StringVar(&cfg.Store, "store", cfg.Store, "pebble, the embedded one, or postgres")
	f.IntVar(&cfg.Standbys, "standbys", 0, "with --store postgres: standbys, any one of which confirms every commit")
	f.StringVar(&cfg.Data, "data", "", "existing directory for the store, which is removed afterwards; empty: that for temporary files")
	f.StringVar(&jsonFile, "json", "", "write the result as JSON to a file; -: to standard output, instead of the summary")
	return cmd
}
