package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/capacity"
)

func newPlanCommand() *cobra.Command {
	load, machine := capacity.DefaultLoad(1e6), capacity.DefaultMachine()
	memory, network := machine.Memory/(1<<30), machine.Network*8/1e9
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say how many machines so many users need",
		Long: `Says how many gateways, mailbox nodes and machines with Redis so many users need,
and what more machines would not help against. The costs are those measured in
docs/BENCHMARKS.md; docs/SCALING.md explains the model.`,
		Example: `  skein plan --users 10e6
  skein plan --users 1e6 --messages-per-day 40 --cores 8 --memory-gib 32`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			machine.Memory, machine.Network = memory*(1<<30), network*1e9/8
			p, err := capacity.New(load, machine, capacity.Measured())
			if err != nil {
				return err
			}
			if !asJSON {
				p.WriteSummary(cmd.OutOrStdout())
				return nil
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(p)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&load.Users, "users", load.Users, "how many users there are")
	f.Float64Var(&load.Messages, "messages-per-day", load.Messages, "messages that a user sends in a day")
	f.Float64Var(&load.Peak, "peak", load.Peak, "how much more there are in the busiest second than on average")
	f.Float64Var(&load.Connected, "connected", load.Connected, "share of users who are connected then")
	f.DurationVar(&load.Heartbeat, "heartbeat", load.Heartbeat, "how often a client says that it is there")
	f.Float64Var(&load.Shakes, "shakes", load.Shakes, "shakes per second and user during a campaign")
	f.DurationVar(&load.Return, "return", load.Return, "within which time everybody comes back after a failure")
	f.DurationVar(&load.Retention, "retention", load.Retention, "how long messages are kept")
	f.Float64Var(&machine.Cores, "cores", machine.Cores, "cores of a machine")
	f.Float64Var(&memory, "memory-gib", memory, "its memory, in GiB")
	f.Float64Var(&network, "network-gbit", network, "its network, in Gbit/s")
	f.Float64Var(&machine.Busy, "busy", machine.Busy, "how much of a core, and of the network, may be used at the peak")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}
