package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchEnvelopesCommand() *cobra.Command {
	cfg := bench.DefaultEnvelopesConfig()
	var files crowdFiles
	var jsonFile, page string
	cmd := &cobra.Command{
		Use:   "envelopes",
		Short: "Shake for red envelopes, send and open some, count every cent",
		Long: `Makes as many users as there are connections, connects them, and has two rounds.
In each, all of them shake for the envelopes of a campaign, --qps shakes a
second (--second-qps in the second round), until all are issued and --tail is
over. Then --senders of the users send envelopes to three friends each, who open
them as soon as they come.

Request s is due s/rate seconds after the start whatever the server does, and
latencies count from there. The shakes of any --conns requests come from all
connections, one each. While shakes are sent, POST /rate at the address that is
printed changes how many, and GET /status tells how things stand.

In the end the books of the devices (what each was told, and what its timeline
says) are compared with the server's: campaigns, all envelopes that were sent,
and a sample of the wallets. A server of the run's own is then stopped and its
store audited. The exit status is 1 when something was lost or books disagree.`,
		Example: `  skein bench envelopes --conns 4000 --qps 4000 --issue 2000 --send 2000
  skein bench envelopes --conns 19000 --qps 30000 --report envelopes.html --json envelopes.json
  skein bench envelopes --conns 1000000 --data /var/tmp/million --qps 30000 --second-qps 60000
  skein bench envelopes --conns 1000 --qps 1000 --rounds 1 --send 0
  curl -X POST -d '{"qps": 20000}' http://127.0.0.1:7099/rate   # with --control 127.0.0.1:7099`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if err := completeCrowd(&cfg.CrowdConfig, &files, cmd.ErrOrStderr()); err != nil {
				return err
			}
			res, err := bench.Envelopes(ctx, cfg)
			if res == nil {
				return err
			}
			if page != "" {
				err = errors.Join(err, writeFile(page, res.Page().Write))
			}
			return conclude(cmd, jsonFile, res, res.Good, res.WriteSummary, err)
		},
	}
	f := cmd.Flags()
	addCrowdFlags(f, &cfg.CrowdConfig, &files)
	addEnvelopesFlags(f, &cfg)
	f.StringVar(&page, "report", "", "write charts over time as one HTML file")
	f.StringVar(&jsonFile, "json", "", jsonHelp)
	return cmd
}

func addEnvelopesFlags(f *pflag.FlagSet, cfg *bench.EnvelopesConfig) {
	f.Float64Var(&cfg.QPS, "qps", cfg.QPS, "shakes per second of all connections together, in the first round")
	f.Float64Var(&cfg.SecondQPS, "second-qps", 0, "the same in the second round; 0: twice as many")
	f.IntVar(&cfg.Rounds, "rounds", cfg.Rounds, "1 or 2")
	f.IntVar(&cfg.Issue, "issue", cfg.Issue, "envelopes of a round's campaign; 0: nobody shakes")
	f.IntVar(&cfg.IssueRate, "issue-rate", cfg.IssueRate, "how many of them it gives out per second")
	f.DurationVar(&cfg.Tail, "tail", cfg.Tail, "how long to shake on when all are issued")
	f.IntVar(&cfg.Send, "send", cfg.Send, "envelopes sent to three friends each, in a round; 0: none")
	f.Float64Var(&cfg.SendRate, "send-rate", cfg.SendRate, "how many of them per second")
	f.IntVar(&cfg.Senders, "senders", cfg.Senders, "users who send; at most a quarter of the connections")
	f.Int64Var(&cfg.Cents, "cents", cfg.Cents, "cents per share on average")
	f.BoolVar(&cfg.Equal, "equal", false, "equal shares instead of random ones")
	f.StringVar(&cfg.Control, "control", cfg.Control, "where the rate can be changed over HTTP; empty: nowhere")
	f.BoolVar(&cfg.NoAudit, "no-audit", false, "leave out the audit of the own server's store")
}
