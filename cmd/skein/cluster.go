package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/node"
)

func newClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Look at the nodes that share a store, and place mailboxes on them",
	}
	cmd.AddCommand(newClusterStatusCommand(), newClusterSlotsCommand(), newMoveSlotsCommand(), newCanaryCommand())
	return cmd
}

// clusterFlags are those of commands that look at the shared store.
type clusterFlags struct {
	file   string
	asJSON bool
}

func (f *clusterFlags) add(cmd *cobra.Command) {
	for _, s := range config.Settings() {
		switch s.Key {
		case "store", "redis", "redis_user", "redis_password_file", "redis_ca", "redis_prefix",
			"postgres", "postgres_password_file", "postgres_ca", "postgres_schema", "postgres_standbys":
			cmd.Flags().String(flagName(s.Key), fmt.Sprint(s.Default), s.Help)
		case "cluster_secret":
			// Taken and not needed, so that what nodes are given fits here too.
			cmd.Flags().String(flagName(s.Key), fmt.Sprint(s.Default), s.Help)
			_ = cmd.Flags().MarkHidden(flagName(s.Key))
		}
	}
	cmd.Flags().StringVar(&f.file, "config", "", "TOML file with the settings of a node")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one line of JSON")
}

func (f *clusterFlags) look(cmd *cobra.Command) (*node.ClusterView, error) {
	cfg, err := config.Load(f.file, changedFlags(cmd.Flags()))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return node.LookAtCluster(cmd.Context(), cfg, log)
}

const fromTheStore = `
What is shown comes from the store that the nodes share, so it is there even if no
node answers; the settings are those of the nodes, from their file (--config), the
environment or flags.`

const orAPart = `
While some servers of the store do not answer, what the others say is shown; what is
missing is said too (unknown in JSON), and the exit status is 2. It is 1 if nothing
can be shown.`

// incomplete is the exit status of a command that could not learn everything.
const incomplete exitCode = 2

// ended is how a command ends that has shown what is known.
func ended(v *node.ClusterView) error {
	if len(v.Unknown) > 0 {
		return incomplete
	}
	return nil
}

func newClusterStatusCommand() *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the nodes and their shares",
		Long: `Shows the nodes whose records have not expired: their roles, versions, states, how
many slots each is to serve (due) and has acquired (held), how many clients it
has, and for how long it has been up. A slot that is not held by who is due to
serve it is moving.
` + fromTheStore + orAPart,
		Example: `  skein cluster status --store redis --redis 10.0.0.5:6379
  skein cluster status --config /etc/skein/skein.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := f.look(cmd)
			if err != nil {
				return err
			}
			v.Slots = nil
			if f.asJSON {
				return cmp.Or(json.NewEncoder(cmd.OutOrStdout()).Encode(v), ended(v))
			}
			printNodes(cmd.OutOrStdout(), v)
			return ended(v)
		},
	}
	f.add(cmd)
	return cmd
}

func printNodes(out io.Writer, v *node.ClusterView) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tROLES\tVERSION\tSTATE\tDUE\tHELD\tLINKS\tUP\tADDRESSES")
	for _, n := range v.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", n.Node, rolesOf(&n.Member), n.Version, n.State,
			n.Due, n.Held, n.Links, (time.Duration(n.Uptime) * time.Second).String(), addressesOf(&n.Member))
	}
	_ = w.Flush()
	if v.Recorded() {
		fmt.Fprintf(out, "%d of %d slots are moving.\n", v.Moving, im.Slots)
	}
	printUnknown(out, v)
	for _, p := range v.Policy.Pins {
		fmt.Fprintf(out, "Slots %d-%d are pinned to %s.\n", p.First, p.Last, p.Node)
	}
	if c := v.Policy.Canary; c.Version != "" {
		fmt.Fprintf(out, "Version %s is to have %g%% of the users.\n", c.Version, c.Percent)
	}
}

// printUnknown says what could not be learned, and why.
func printUnknown(out io.Writer, v *node.ClusterView) {
	for _, u := range v.Unknown {
		what := "the nodes' records"
		if u.Slots > 0 {
			what = fmt.Sprintf("who has acquired %d slots", u.Slots)
		}
		fmt.Fprintf(out, "Not known: %s: %s\n", what, strings.ReplaceAll(u.Error, "\n", "; "))
	}
}

func rolesOf(m *cluster.Member) string {
	switch {
	case m.State == "":
		return "?" // its record is not known
	case m.Roles != "" && m.Link != "":
		return "mailbox,gateway"
	case m.Roles != "":
		return "mailbox"
	case m.Router != "":
		return "router"
	case m.Relay != "":
		return "relay"
	}
	return "gateway"
}

func addressesOf(m *cluster.Member) string {
	var list []string
	for _, a := range []struct{ what, addr string }{{"roles", m.Roles}, {"link", m.Link}, {"http", m.HTTP}, {"router", m.Router}, {"relay", m.Relay}, {"ops", m.Ops}} {
		if a.addr != "" {
			list = append(list, a.what+"="+a.addr)
		}
	}
	return strings.Join(list, " ")
}

func newClusterSlotsCommand() *cobra.Command {
	var f clusterFlags
	var user uint64
	cmd := &cobra.Command{
		Use:   "slots",
		Short: "Show who serves which slots",
		Long: `Shows for every slot who is to serve it by the placement that follows from the
nodes' records, who has acquired it last, and under which epoch. With --user, only
the slot that the user's mailbox is in.
` + fromTheStore + orAPart,
		Example: `  skein cluster slots --store redis --redis 10.0.0.5:6379
  skein cluster slots --store redis --redis 10.0.0.5:6379 --user 42`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := f.look(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("user") {
				v.Only(im.User(im.UserID(user)).Slot())
			}
			if f.asJSON {
				return cmp.Or(json.NewEncoder(cmd.OutOrStdout()).Encode(v.Slots), ended(v))
			}
			printSlots(cmd.OutOrStdout(), v)
			return ended(v)
		},
	}
	f.add(cmd)
	cmd.Flags().Uint64Var(&user, "user", 0, "a user's identifier")
	return cmd
}

func printSlots(out io.Writer, v *node.ClusterView) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SLOT\tDUE\tOWNER\tEPOCH")
	for _, s := range v.Slots {
		moving := "" // with its column
		switch {
		case s.Unknown:
			moving = "\tunknown"
		case s.Due != s.Owner || s.Due == "":
			moving = "\tmoving"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d%s\n", s.Slot, orDash(s.Due), orDash(s.Owner), s.Epoch, moving)
	}
	_ = w.Flush()
	printUnknown(out, v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
