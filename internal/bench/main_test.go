package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

// TestMain makes the test binary stand in for the program: with the argument
// serve it is a server, with bench swarm a process of the load generator.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && slices.Equal(os.Args[1:], SwarmArgs()) {
		if err := swarm.Member(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Under the race detector, processes rest for a second when they end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func serve(args []string) error {
	cfg := config.Default()
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.Bool("json", false, "")
	flags.StringVar(&cfg.Data, "data", "", "")
	flags.StringVar(&cfg.HTTP, "http", "", "")
	flags.StringVar(&cfg.Link, "link", "", "")
	flags.StringVar(&cfg.Ops, "ops", "", "")
	flags.IntVar(&cfg.MaxConns, "max-conns", cfg.MaxConns, "")
	flags.StringVar(&cfg.TLSCert, "tls-cert", "", "")
	flags.StringVar(&cfg.TLSKey, "tls-key", "", "")
	flags.StringVar(&cfg.LogLevel, "log-level", "", "")
	mute := flags.Bool("mute", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *mute {
		fmt.Println("no JSON")
		return fmt.Errorf("mute")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := node.Start(ctx, cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(n.Addresses()); err != nil {
		return err
	}
	<-ctx.Done()
	return n.Stop()
}
