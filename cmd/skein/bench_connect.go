package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchConnectCommand() *cobra.Command {
	cfg := bench.DefaultConnectConfig()
	var files crowdFiles
	var jsonFile string
	var check bool
	cmd := &cobra.Command{
		Use:   "connect",
		Short: "Open very many connections, hold them, push to all",
		Long: `Makes as many users as there are connections, opens the connections and logs
them in, holds them with heartbeats, sends small requests on them if --rate says
so, and pushes one notice to everyone.

The load generator runs in as many processes, and from as many addresses of
127.0.0.0/8, as the limits of open files and ports ask for. Request s is due
s/rate seconds after the start whatever the server does, and latencies count
from there. The exit status is 1 unless every connection lasted and every
answer and push came.`,
		Example: `  skein bench connect --conns 50000 --hold 60s
  skein bench connect --conns 19000 --rate 60000 --json -
  skein bench connect --conns 5000 --tls
  skein bench connect --conns 20000 --transport ws
  skein bench connect --conns 1000000 --check
  skein bench connect --conns 1000000 --data /var/tmp/million --rate 60000
  skein bench connect --conns 1000000 --data /var/tmp/million --provisioned
  skein bench connect --addr tcp://127.0.0.1:7001 --http http://127.0.0.1:7080 --operator-token-file skein-data/operator.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if err := completeCrowd(&cfg.CrowdConfig, &files, cmd.ErrOrStderr()); err != nil {
				return err
			}
			if check {
				return cfg.Check()
			}
			res, err := bench.Connect(ctx, cfg)
			if res == nil {
				return err
			}
			return conclude(cmd, jsonFile, res, res.Good, res.WriteSummary, err)
		},
	}
	addCrowdFlags(cmd.Flags(), &cfg.CrowdConfig, &files)
	addConnectFlags(cmd.Flags(), &cfg)
	cmd.Flags().BoolVar(&check, "check", false, "only see whether this machine can hold the connections, and say what it is short of")
	cmd.Flags().StringVar(&jsonFile, "json", "", jsonHelp)
	return cmd
}

func addConnectFlags(f *pflag.FlagSet, cfg *bench.ConnectConfig) {
	f.DurationVar(&cfg.Hold, "hold", cfg.Hold, "how long the connections are to last")
	f.Float64Var(&cfg.Rate, "rate", 0, "small requests per second of all connections together; 0: none")
	f.DurationVar(&cfg.RequestsFor, "requests-for", cfg.RequestsFor, "how long to send requests")
	f.BoolVar(&cfg.NoPush, "no-push", false, "leave out the push to everyone")
	f.DurationVar(&cfg.PushTimeout, "push-timeout", cfg.PushTimeout, "how long the push may take")
}

const jsonHelp = "write the result as JSON to a file; -: to standard output, instead of the summary"

// crowdFiles are flags that name files.
type crowdFiles struct{ token, ca string }

func addCrowdFlags(f *pflag.FlagSet, cfg *bench.CrowdConfig, files *crowdFiles) {
	f.IntVar(&cfg.Conns, "conns", cfg.Conns, "how many connections, each of a user of its own")
	f.IntVar(&cfg.Procs, "procs", 0, "processes of the load generator; 0: as many as it needs")
	f.StringVar(&cfg.Transport, "transport", cfg.Transport, "tcp or ws: what links run over")
	f.Float64Var(&cfg.Ramp, "ramp", 0, "connections opened per second; 0: as fast as --login-window allows")
	f.IntVar(&cfg.Window, "login-window", cfg.Window, "connections that may be on their way to be logged in")
	f.DurationVar(&cfg.RampTimeout, "ramp-timeout", cfg.RampTimeout, "how long opening all connections may take")
	f.DurationVar(&cfg.AnswerTimeout, "answer-timeout", cfg.AnswerTimeout, "how long the last answers may take")
	f.DurationVar(&cfg.Heartbeat, "heartbeat", cfg.Heartbeat, "heartbeat interval to ask for")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "what the users' tokens are made from")
	f.BoolVar(&cfg.TLS, "tls", false, "the own server speaks TLS, with a certificate made for the run")
	f.StringSliceVar(&cfg.Links, "addr", nil, "link addresses of a running server: tcp://host:port or tls://host:port")
	f.StringVar(&cfg.HTTP, "http", "", "base URL of the running server's HTTP API")
	f.StringVar(&files.token, "operator-token-file", "", "file with the running server's operator token")
	f.StringVar(&files.ca, "ca-file", "", "PEM file with a certificate to trust besides the system's")
	f.IntSliceVar(&cfg.ServerPIDs, "server-pid", nil, "processes of the running server whose CPU time and memory to report, children included")
	f.StringVar(&cfg.Data, "data", "", "data directory of the own server, kept afterwards; empty: a temporary one")
	f.BoolVar(&cfg.Provisioned, "provisioned", false, "the users exist from an earlier run with the same seed")
	f.StringArrayVar(&cfg.ServerArgs, "server-arg", nil, "argument for the own server, like --server-arg=--workers=2")
}

// completeCrowd fills in what is not a flag.
func completeCrowd(cfg *bench.CrowdConfig, files *crowdFiles, stderr io.Writer) (err error) {
	cfg.Version = version
	cfg.Progress, cfg.Still = stderr, terminal(stderr) == nil
	if files.token != "" {
		b, err := os.ReadFile(files.token)
		if err != nil {
			return fmt.Errorf("the operator token: %w", err)
		}
		cfg.OperatorToken = strings.TrimSpace(string(b))
	}
	if files.ca != "" {
		if cfg.CA, err = os.ReadFile(files.ca); err != nil {
			return fmt.Errorf("the certificate: %w", err)
		}
	}
	cfg.Program, err = os.Executable()
	return err
}
