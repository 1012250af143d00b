package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/node"
)

// policyFlags are those of commands that change the placement.
type policyFlags struct {
	clusterFlags
	wait time.Duration
}

func (f *policyFlags) add(cmd *cobra.Command) {
	f.clusterFlags.add(cmd)
	cmd.Flags().DurationVar(&f.wait, "wait", time.Minute, "how long to wait until nothing moves any more; 0: not at all")
}

// change changes the policy and shows how the slots move.
func (f *policyFlags) change(cmd *cobra.Command, change func(p *cluster.Policy, nodes []cluster.Member) error) error {
	cfg, err := config.Load(f.file, changedFlags(cmd.Flags()))
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if f.wait == 0 {
		return node.ChangePolicy(ctx, cfg, log, change, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	var last *node.ClusterView
	progress := terminal(cmd.ErrOrStderr())
	err = node.ChangePolicy(ctx, cfg, log, change, func(v *node.ClusterView) {
		last = v
		if progress != nil {
			fmt.Fprintf(progress, "\r%d slots are moving   ", v.Moving)
		}
	})
	if progress != nil {
		fmt.Fprintln(progress)
	}
	if err != nil || last == nil {
		return err
	}
	last.Slots = nil
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(last)
	}
	printNodes(cmd.OutOrStdout(), last)
	return nil
}

func newMoveSlotsCommand() *cobra.Command {
	var f policyFlags
	var release bool
	cmd := &cobra.Command{
		Use:   "move-slots FIRST[-LAST] [NODE]",
		Short: "Put slots on a node, or let go of them",
		Long: `Puts slots on a node, whatever their usual placement is, for as long as that node
is up; with --release they go back to it. Mailboxes move while messages flow:
their old node finishes what it has taken, the new one goes on, and clients
notice nothing. 'skein cluster slots' shows who has what.
` + fromTheStore,
		Example: `  skein cluster move-slots 0-99 mailbox2 --store redis --redis 10.0.0.5:6379
  skein cluster move-slots 0-99 --release --config /etc/skein/skein.toml`,
		Args: func(_ *cobra.Command, args []string) error {
			if want := 2; len(args) == want && !release || len(args) == want-1 && release {
				return nil
			}
			return fmt.Errorf("give slots and a node, or slots and --release; see --help")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			first, last, err := parseSlots(args[0])
			if err != nil {
				return err
			}
			return f.change(cmd, func(p *cluster.Policy, nodes []cluster.Member) error {
				if release {
					p.Unpin(first, last)
					return nil
				}
				p.PinSlots(cluster.Pin{First: first, Last: last, Node: args[1]})
				return isMailbox(nodes, args[1])
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&release, "release", false, "let the slots go back to their usual placement")
	return cmd
}

// parseSlots reads "7" or "0-99".
func parseSlots(s string) (first, last im.Slot, err error) {
	from, to, several := strings.Cut(s, "-")
	if !several {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 16)
	b, errB := strconv.ParseUint(to, 10, 16)
	if errA != nil || errB != nil || a > b || b >= im.Slots {
		return 0, 0, fmt.Errorf("%q are no slots: give one from 0 to %d, or a range like 0-99", s, im.Slots-1)
	}
	return im.Slot(a), im.Slot(b), nil
}

// isMailbox refuses a node that cannot have slots.
func isMailbox(nodes []cluster.Member, name string) error {
	var known []string
	for _, n := range nodes {
		if n.Roles != "" && n.Node == name {
			return nil
		}
		if n.Roles != "" {
			known = append(known, n.Node)
		}
	}
	return fmt.Errorf("there is no mailbox node %q; there are: %s", name, strings.Join(known, ", "))
}

func newCanaryCommand() *cobra.Command {
	var f policyFlags
	var off bool
	cmd := &cobra.Command{
		Use:   "canary [VERSION PERCENT]",
		Short: "Give the nodes of a new version a share of the users",
		Long: `Gives the nodes of one version a share of the users, and those of all other
versions the rest: mailboxes, and connections where there are gateways of both. Raise
the share step by step; 0 takes all users back at once. --off ends it, however it
went: from then on nodes of all versions share the users, so stop those that you do
not want first. Users move while messages flow, and none twice on the way up. The
version is the program's, or what --version-label says at a node.
` + fromTheStore,
		Example: `  skein cluster canary 1.4.0 1 --store redis --redis 10.0.0.5:6379
  skein cluster canary 1.4.0 25 --config /etc/skein/skein.toml
  skein cluster canary --off --config /etc/skein/skein.toml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 2 && !off || len(args) == 0 && off {
				return nil
			}
			return fmt.Errorf("give a version and a share in percent, or --off; see --help")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var c cluster.Canary
			if !off {
				percent, err := strconv.ParseFloat(strings.TrimSuffix(args[1], "%"), 64)
				if err != nil {
					return fmt.Errorf("%q is no share in percent", args[1])
				}
				c = cluster.Canary{Version: args[0], Percent: percent}
			}
			return f.change(cmd, func(p *cluster.Policy, nodes []cluster.Member) error {
				p.Canary = c
				return hasVersion(nodes, c)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&off, "off", false, "no node is a canary any more: all share the users")
	return cmd
}

// hasVersion refuses a canary of which there is no node: most likely its version
// is misspelt.
func hasVersion(nodes []cluster.Member, c cluster.Canary) error {
	var known []string
	for _, n := range nodes {
		if n.Roles == "" {
			continue
		}
		if n.Version == c.Version || c.Version == "" {
			return nil
		}
		known = append(known, n.Node+" "+n.Version)
	}
	if len(known) == 0 {
		return nil
	}
	return fmt.Errorf("no mailbox node has version %q; there are: %s", c.Version, strings.Join(known, ", "))
}
