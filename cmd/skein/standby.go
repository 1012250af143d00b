package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/node"
)

func newStandbyCommand() *cobra.Command {
	cmd := newNodeCommand(node.Standby, &cobra.Command{
		Use:   "standby",
		Short: "Keep a copy of a region's store somewhere else",
		Long: `Keeps a copy of a region's store, in a data directory, a Redis or a PostgreSQL of
its own, so that the region's users can be served from here when the region is gone. The
region's mailboxes reach it with --standby, and both show the region's
certificate; see 'skein relay cert'. With --standby-mode sync there, nothing is
acknowledged that is not here too.

When the region is gone, stop this process, promote the copy, and start the
region on it.`,
		Example: `  skein standby --region eu --data eu-copy --standby-listen 0.0.0.0:7004 \
      --relay-cert relay-certs/eu.pem --relay-key relay-certs/eu-key.pem --relay-ca relay-certs/ca.pem
  skein standby promote --data eu-copy
  skein serve --region eu --data eu-copy --relay-cert relay-certs/eu.pem --relay-key relay-certs/eu-key.pem --relay-ca relay-certs/ca.pem`,
	})
	cmd.AddCommand(newPromoteCommand())
	return cmd
}

func newPromoteCommand() *cobra.Command {
	var file string
	var broken, asJSON bool
	cmd := &cobra.Command{
		Use:   "promote",
		Short: "Make a copy the region's own store",
		Long: `Makes the copy a store that 'skein serve' and 'skein mailbox' take. See to it that
the region's old nodes do not come back: they and the new ones would not know of
each other. The exit status is 1, and nothing is changed, if some slots were just
being copied anew; --broken takes them as they are.`,
		Example: `  skein standby promote --data eu-copy
  skein standby promote --store redis --redis 10.0.0.7:6379`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, changedFlags(cmd.Flags()))
			if err != nil {
				return err
			}
			notWhole, err := promote(cmd.Context(), cfg, broken)
			if err != nil {
				return err
			}
			return reportPromotion(cmd, notWhole, broken, asJSON)
		},
	}
	addSettings(cmd.Flags(), node.Standby)
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "TOML file with settings")
	f.BoolVar(&broken, "broken", false, "also with slots that are not whole")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func promote(ctx context.Context, cfg config.Config, broken bool) ([]im.Slot, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	return node.Promote(ctx, cfg, slog.New(slog.DiscardHandler), broken)
}

func reportPromotion(cmd *cobra.Command, notWhole []im.Slot, broken, asJSON bool) error {
	promoted := len(notWhole) == 0 || broken
	if asJSON {
		err := json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"promoted": promoted, "broken_slots": len(notWhole)})
		return errors.Join(err, statusOf(promoted, nil))
	}
	if len(notWhole) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%d of %d slots are not whole, slot %d the first of them.\n", len(notWhole), im.Slots, notWhole[0])
	}
	if !promoted {
		fmt.Fprintln(cmd.OutOrStdout(), "Nothing was changed; --broken takes them as they are.")
		return exitCode(1)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "The copy is the region's store now.")
	return nil
}
