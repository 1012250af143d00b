package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/doctor"
	"github.com/skein-im/skein/internal/node"
)

func newDoctorCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what this machine allows against what the settings want",
		Long: `Compares the limits of this machine, its memory, its disk and its addresses with
what a server with these settings needs, and says what to change, and how. Run
it as the user that runs the server, with the same settings. The exit status is
1 if something will not work. docs/OPERATIONS.md explains each check.`,
		Example: `  skein doctor
  skein doctor --max-conns 1000000
  skein doctor --config /etc/skein/skein.toml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, changedFlags(cmd.Flags()))
			if err != nil {
				return err
			}
			return examine(cmd, doctor.Local(), cfg, asJSON)
		},
	}
	addSettings(cmd.Flags(), node.Serve)
	cmd.Flags().StringVar(&file, "config", "", "TOML file with settings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

// examine prints what was found; it fails without words if something will not
// work.
func examine(cmd *cobra.Command, m doctor.Machine, cfg config.Config, asJSON bool) error {
	report := doctor.Examine(m, cfg)
	var err error
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.Write(cmd.OutOrStdout())
	}
	if err == nil && !report.OK {
		return exitCode(1)
	}
	return err
}
