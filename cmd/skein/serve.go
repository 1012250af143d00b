package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

func newServeCommand() *cobra.Command {
	return newNodeCommand(node.Serve, &cobra.Command{
		Use:   "serve",
		Short: "Run the server, every role in one process",
		Long: `Runs the server on the embedded store. Settings come from the defaults, then
the file given with --config, then SKEIN_* environment variables, then flags.
An address with port 0 takes a free port; the addresses taken are printed.

More links than a process may have open files are served by worker processes
that share the address. SIGINT and SIGTERM send the clients away and stop; a
second signal stops at once.`,
		Example: `  skein serve
  skein serve --data /var/lib/skein --http 0.0.0.0:443 --link 0.0.0.0:7001 --tls-cert cert.pem --tls-key key.pem
  skein serve --max-conns 1000000
  skein serve --http 127.0.0.1:0 --link 127.0.0.1:0 --ops 127.0.0.1:0 --json`,
	})
}

func newMailboxCommand() *cobra.Command {
	return newNodeCommand(node.Mailbox, &cobra.Command{
		Use:   "mailbox",
		Short: "Run the store and the mailboxes, for gateways in other processes",
		Long: `Runs the store and the mailboxes on it. Gateways reach them at --role-listen
and show that they know the secret in --cluster-secret, which is made at the
first start and is to be copied to the gateways' machines. The secret does not
cross the network; what is said on the links does, in the clear, so they belong
into a private network.`,
		Example: `  skein mailbox
  skein mailbox --data /var/lib/skein --role-listen 10.0.0.5:7002`,
	})
}

func newGatewayCommand() *cobra.Command {
	return newNodeCommand(node.Gateway, &cobra.Command{
		Use:   "gateway",
		Short: "Run what clients connect to, with the mailboxes in another process",
		Long: `Runs the HTTP API and the long links in front of the mailbox at --mailbox. It
stores nothing; --data has the operator's token and the secret that it shares
with the mailbox. It may die at any time: its clients connect again, here or
elsewhere, and continue. While the mailbox is away, clients wait.`,
		Example: `  skein gateway
  skein gateway --mailbox 10.0.0.5:7002 --cluster-secret /etc/skein/cluster.secret --link 0.0.0.0:7001 --http 0.0.0.0:7080
  skein gateway --http 127.0.0.1:7081 --link 127.0.0.1:7011 --ops 127.0.0.1:7071`,
	})
}

func newRouterCommand() *cobra.Command {
	return newNodeCommand(node.Router, &cobra.Command{
		Use:   "router",
		Short: "Tell clients which gateways to connect to, and others who serves what",
		Long: `Answers over HTTP, at --router-listen, from what the nodes that share the store
say of themselves there: /v1/addresses are gateways for clients, the least loaded
first; /v1/nodes, /v1/slots?user=ID and /server say who serves what; and
/regist/KIND/REGION/?id=ID&host=HOST&port=PORT writes down a server that cannot
do so itself, for a day or &ttl=. Off loopback, all but /v1/addresses ask for the
operator's token.

Any number may run. While the store is away, each goes on with what it knew last.`,
		Example: `  skein router --store redis --redis 10.0.0.5:6379
  skein router --store redis --redis 10.0.0.5:6379 --router-listen 0.0.0.0:7005
  curl 'http://127.0.0.1:7005/v1/addresses?user=42&n=2'
  curl 'http://127.0.0.1:7005/regist/redis/1/?id=res1&host=10.0.0.5&port=6379&cellid=1&ttl=12h'`,
	})
}

func newMonitorCommand() *cobra.Command {
	return newNodeCommand(node.Monitor, &cobra.Command{
		Use:   "monitor",
		Short: "Watch processes: samples, alerts and a dashboard",
		Long: `Collects the metrics of the processes whose operations addresses are in
--monitor-targets, once a second; keeps a day of them in memory, writes them to
logs in the directory monitor of --data, raises alerts, and serves all of it at
--ops. 'skein serve' does the same for itself.

Any number may run. Of those on one machine with the same --data, one writes the
logs and calls the webhook; when it dies, another does.`,
		Example: `  skein monitor --monitor-targets 127.0.0.1:7070,127.0.0.1:7072
  skein monitor --monitor-targets 10.0.0.7:7070 --monitor-token-file /etc/skein/operator.token --monitor-webhook https://example.com/alerts`,
	})
}

// newNodeCommand makes a command that runs a node.
func newNodeCommand(role node.Role, cmd *cobra.Command) *cobra.Command {
	var file string
	var asJSON bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.LoadFor(settingRoles[role], file, changedFlags(cmd.Flags()))
		if err != nil {
			return err
		}
		return runNode(cmd.Context(), role, cfg, cmd.OutOrStdout(), asJSON)
	}
	addSettings(cmd.Flags(), role)
	cmd.Flags().StringVar(&file, "config", "", "TOML file with settings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the addresses as one line of JSON")
	return cmd
}

// settingRoles are the names of roles in config.Setting.
var settingRoles = map[node.Role]string{
	node.Mailbox: "mailbox", node.Gateway: "gateway", node.Monitor: "monitor", node.Standby: "standby",
	node.Router: "router", node.Relay: "relay",
}

// addSettings makes a flag of every setting that a role heeds.
func addSettings(flags *pflag.FlagSet, role node.Role) {
	for _, s := range config.SettingsFor(settingRoles[role]) {
		if s.For(settingRoles[role]) {
			addSetting(flags, s)
		}
	}
}

// addSetting makes a flag of a setting. Its text is read with that of the file and
// of the environment, and what does not fit is refused in the same words.
func addSetting(flags *pflag.FlagSet, s config.Setting) {
	v := settingFlag{text: fmt.Sprint(s.Default), kind: fmt.Sprintf("%T", s.Default)}
	if v.kind == "float64" {
		v.kind = "number"
	}
	flags.Var(&v, flagName(s.Key), s.Help)
}

// settingFlag is the text of a setting; kind is what help says it is.
type settingFlag struct{ text, kind string }

func (v *settingFlag) String() string { return v.text }
func (v *settingFlag) Type() string   { return v.kind }
func (v *settingFlag) Set(text string) error {
	v.text = text
	return nil
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// changedFlags are the settings that were given as flags, by key.
func changedFlags(flags *pflag.FlagSet) map[string]string {
	changed := map[string]string{}
	for _, s := range config.Settings() {
		if f := flags.Lookup(flagName(s.Key)); f != nil && f.Changed {
			changed[s.Key] = f.Value.String()
		}
	}
	return changed
}

// runNode runs a node until a signal, or an operator by other means, stops it.
func runNode(ctx context.Context, role node.Role, cfg config.Config, out io.Writer, asJSON bool) error {
	if ctx == nil {
		ctx = context.Background()
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	level := new(slog.LevelVar)
	level.Set(node.LogLevel(cfg.LogLevel))
	log := newLogger(level, onTerminal())
	started := make(chan struct{})
	go func() {
		// A signal during the start ends the start.
		select {
		case s := <-signals:
			signals <- s
			cancel()
		case <-started:
		}
	}()
	n, err := node.Start(ctx, cfg, node.Options{Role: role, Logger: log, Level: level, Version: version, WorkerCommand: workerCommand})
	close(started)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped while starting", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	printAddresses(out, n.Addresses(), asJSON)
	select {
	case <-signals:
	case <-n.DrainAsked():
	case <-ctx.Done():
	case <-n.Failed():
		log.Error("a listener failed", "err", n.Err())
	}
	log.Info("sending clients away and stopping; a signal stops at once")
	return stopNode(n, signals)
}

// stopNode stops a node, or gives it up at the next signal.
func stopNode(n *node.Node, signals <-chan os.Signal) error {
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop() }()
	select {
	case err := <-stopped:
		return err
	case <-signals:
		n.Kill()
		return exitCode(130)
	}
}

func printAddresses(out io.Writer, a node.Addresses, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(out).Encode(a)
		return
	}
	operations := "/healthz /readyz /metrics /drain /log-level"
	if a.Dashboard {
		operations += "; in a browser: the dashboard"
	}
	fmt.Fprintf(out, "Skein serves from %s\n", a.Data)
	for _, l := range []struct{ what, addr, about string }{
		{"HTTP API", a.HTTP, "OpenAPI at /openapi.json, WebSocket at /link"},
		{"long links", a.Link, "TCP and WebSocket"},
		{"role links", a.Roles, "for other processes of this program"},
		{"relays", a.Relay, "for other regions"},
		{"standby", a.Standby, "for the mailboxes of this region"},
		{"router", a.Router, "/v1/addresses for clients; /v1/nodes /v1/slots /server /regist/"},
		{"operations", a.Ops, operations},
		{"article API", a.Article, "no credentials: anyone who reaches it can write as anyone"},
	} {
		if l.addr != "" {
			fmt.Fprintf(out, "  %-11s %s  (%s)\n", l.what, l.addr, l.about)
		}
	}
}

// onTerminal reports whether somebody reads standard error as it comes.
func onTerminal() bool { return term.IsTerminal(int(os.Stderr.Fd())) }

// newLogger writes text for people, who read it on a terminal, and JSON
// otherwise.
func newLogger(level slog.Leveler, text bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		// In JSON a duration would be a number of nanoseconds.
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	if text {
		return slog.New(slog.NewTextHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, opts))
}

func newConfigCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "config", Short: "Look at the settings"}
	show := &cobra.Command{
		Use:     "show",
		Short:   "Print the settings that hold, as TOML",
		Example: "  skein config show --http 0.0.0.0:8080 > skein.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, changedFlags(cmd.Flags()))
			if err != nil {
				return err
			}
			return cfg.Write(cmd.OutOrStdout())
		},
	}
	addSettings(show.Flags(), node.Serve)
	show.Flags().StringVar(&file, "config", "", "TOML file with settings")
	cmd.AddCommand(show)
	return cmd
}
