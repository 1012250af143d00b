package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/node"
)

func newAuditCommand() *cobra.Command {
	var f clusterFlags
	var dirs, files []string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove from the store that no cent was lost or made",
		Long: `Reads every wallet, envelope, campaign and payment of a store, adds up their logs
from the first entry, compares the two ends of everything that moved money, and
checks that what came in is what is held plus what went out. Nothing is written.
The server must be stopped, or, where several share a store, all that have
mailboxes. Of several regions, name the stores of all, because money goes from one
to another: embedded ones by their directories (--region-data), and others by
the file with the settings of one of their nodes (--region-config), of which
those that say where the store is are heeded.

The exit status is 1 when something does not add up; the entities are named.`,
		Example: `  skein audit
  skein audit --data /var/lib/skein --json
  skein audit --store redis --redis 10.0.0.5:6379
  skein audit --store postgres --postgres postgres://skein@10.0.0.5,10.0.0.6/skein
  skein audit --data east --region-data west
  skein audit --config east.toml --region-config west.toml
  skein audit --config /etc/skein/skein.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(cmd, &f, dirs, files) },
	}
	f.add(cmd)
	cmd.Flags().String("data", config.Default().Data, "data directory of the embedded store")
	cmd.Flags().StringArrayVar(&dirs, "region-data", nil, "data directory of another region; once for each")
	cmd.Flags().StringArrayVar(&files, "region-config", nil, "TOML file with the settings of a node of another region; once for each")
	return cmd
}

func runAudit(cmd *cobra.Command, f *clusterFlags, dirs, files []string) error {
	cfg, err := config.Load(f.file, changedFlags(cmd.Flags()))
	if err != nil {
		return err
	}
	others, err := storesOf(dirs, files)
	if err != nil {
		return err
	}
	r, err := node.Audit(cmd.Context(), cfg, slog.New(slog.DiscardHandler), auditProgress(cmd.ErrOrStderr(), time.Now), others...)
	if err != nil {
		return err
	}
	if f.asJSON {
		err = writeAuditJSON(cmd.OutOrStdout(), r)
	} else {
		writeAudit(cmd.OutOrStdout(), r)
	}
	if err == nil && !r.OK() {
		return exitCode(1)
	}
	return err
}

// auditProgress tells a person every two seconds how far an audit has come.
func auditProgress(out io.Writer, now func() time.Time) func(im.Slot) {
	told := now()
	return func(slot im.Slot) {
		if t := now(); t.Sub(told) >= 2*time.Second {
			told = t
			fmt.Fprintf(out, "reading slot %d of %d\n", slot+1, im.Slots)
		}
	}
}

// storesOf are the settings for the stores of other regions.
func storesOf(dirs, files []string) ([]config.Config, error) {
	var all []config.Config
	for _, dir := range dirs {
		c := config.Default()
		c.Data = dir
		all = append(all, c)
	}
	for _, file := range files {
		// The environment is that of the region that the others are added to.
		c := config.Default()
		if err := c.ReadFile(file); err != nil {
			return nil, err
		}
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func writeAudit(w io.Writer, r *audit.Report) {
	fmt.Fprintf(w, "%d entities with %d entries\n", r.Entities, r.Entries)
	for _, l := range []struct {
		what  string
		cents any
	}{
		{"came in", r.In}, {"went out", r.Out}, {"held", r.Held()}, {"  in wallets", r.Wallets},
		{"  in envelopes", r.Envelopes}, {"  in campaigns", r.Campaigns}, {"  in payments", r.Payments}, {"  on its way", r.InFlight},
	} {
		fmt.Fprintf(w, "  %-16s %20d cents\n", l.what, l.cents)
	}
	if r.OK() {
		fmt.Fprintln(w, "Every cent is accounted for.")
		return
	}
	fmt.Fprintf(w, "IT DOES NOT ADD UP: %d problems\n", r.Found)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  %s\n", p)
	}
}

func writeAuditJSON(w io.Writer, r *audit.Report) error {
	problems := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		problems = append(problems, p.String())
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"ok": r.OK(), "entities": r.Entities, "entries": r.Entries, "in": r.In, "out": r.Out, "held": r.Held(),
		"wallets": r.Wallets, "envelopes": r.Envelopes, "campaigns": r.Campaigns, "payments": r.Payments,
		"in_flight": r.InFlight, "problems": problems, "found": r.Found,
	})
}
