package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchOverloadCommand() *cobra.Command {
	cfg := bench.DefaultOverloadConfig()
	var files crowdFiles
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "overload",
		Short: "Offer a server more than it can do",
		Long: `Measures how many messages a second the server accepts when each follows an
answer, from more and more connections; then offers multiples of that, request s
s/rate seconds after the start whatever the server does, and reports what became
of it. Latencies are of what was admitted and count from when it was due.

Each device writes to one friend. What the server is too busy for is given up
and not repeated: a refused message, those right behind it, those that come due
while the device waits as long as the server has asked it to, or up to twice as
long, and those beyond its --window of unanswered ones. The exit status is 1 unless everything that was admitted arrived, once
and in order, by the devices' books and by the server's.

"own p99" is by how much the load generator itself was late. When that is not
small beside the latencies, it and not the server is what has reached its limit:
give it more processes with --procs, or a machine of its own.`,
		Example: `  skein bench overload
  skein bench overload --conns 8000 --seconds 30s --json -
  skein bench overload --what ping
  skein bench overload --capacity 15000 --factors 1,4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if err := completeCrowd(&cfg.CrowdConfig, &files, cmd.ErrOrStderr()); err != nil {
				return err
			}
			res, err := bench.Overload(ctx, cfg)
			if res == nil {
				return err
			}
			return conclude(cmd, jsonFile, res, res.Good, res.WriteSummary, err)
		},
	}
	addCrowdFlags(cmd.Flags(), &cfg.CrowdConfig, &files)
	addOverloadFlags(cmd.Flags(), &cfg)
	cmd.Flags().StringVar(&jsonFile, "json", "", jsonHelp)
	return cmd
}

func addOverloadFlags(f *pflag.FlagSet, cfg *bench.OverloadConfig) {
	f.StringVar(&cfg.What, "what", cfg.What, "send: durable messages; ping: requests that the gateway answers")
	f.IntVar(&cfg.Body, "body", cfg.Body, "bytes per message")
	f.IntVar(&cfg.SendWindow, "window", cfg.SendWindow, "unanswered requests per device; what comes due beyond is shed")
	f.Float64Var(&cfg.Capacity, "capacity", 0, "what the factors are of, in requests per second; 0: measure it")
	f.Float64SliceVar(&cfg.Factors, "factors", cfg.Factors, "loads to offer, in terms of the capacity")
	f.DurationVar(&cfg.Step, "seconds", cfg.Step, "how long to offer each load")
}
