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
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server, every role in one process",
		Long: `Runs the server on the embedded store. Settings come from the defaults, then
the file given with --config, then SKEIN_* environment variables, then flags.
An address with port 0 takes a free port; the addresses taken are printed.`,
		Example: `  skein serve
  skein serve --data /var/lib/skein --http 0.0.0.0:443 --link 0.0.0.0:7001 --tls-cert cert.pem --tls-key key.pem
  skein serve --http 127.0.0.1:0 --link 127.0.0.1:0 --ops 127.0.0.1:0 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, changedFlags(cmd.Flags()))
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, cmd.OutOrStdout(), asJSON)
		},
	}
	addSettings(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "TOML file with settings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the addresses as one line of JSON")
	return cmd
}

// addSettings makes a flag of every setting.
func addSettings(flags *pflag.FlagSet) {
	for _, s := range config.Settings() {
		flags.String(flagName(s.Key), fmt.Sprint(s.Default), s.Help)
	}
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

// serve runs a node until SIGINT or SIGTERM; a second signal ends the process
// at once.
func serve(ctx context.Context, cfg config.Config, out io.Writer, asJSON bool) error {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := newLogger(cfg.LogLevel)
	n, err := node.Start(ctx, cfg, node.Options{Logger: log, Version: version})
	if err != nil {
		return err
	}
	printAddresses(out, n.Addresses(), asJSON)
	select {
	case <-ctx.Done():
		log.Info("stopping; a second signal stops at once")
	case <-n.Failed():
		log.Error("a listener failed", "err", n.Err())
	}
	stop()
	return n.Stop()
}

func printAddresses(out io.Writer, a node.Addresses, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(out).Encode(a)
		return
	}
	fmt.Fprintf(out, "Skein serves from %s\n", a.Data)
	fmt.Fprintf(out, "  HTTP API    %s  (OpenAPI at /openapi.json, WebSocket at /link)\n", a.HTTP)
	fmt.Fprintf(out, "  long links  %s  (TCP and WebSocket)\n", a.Link)
	fmt.Fprintf(out, "  operations  %s  (/healthz /readyz /metrics)\n", a.Ops)
	if a.Article != "" {
		fmt.Fprintf(out, "  article API %s  (no credentials: anyone who reaches it can write as anyone)\n", a.Article)
	}
}

// newLogger writes text to a terminal and JSON elsewhere.
func newLogger(level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // checked by config.Validate
	opts := &slog.HandlerOptions{Level: l}
	if term.IsTerminal(int(os.Stderr.Fd())) {
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
	addSettings(show.Flags())
	show.Flags().StringVar(&file, "config", "", "TOML file with settings")
	cmd.AddCommand(show)
	return cmd
}
