package main

import (
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/bench/swarm"
)

// newBenchSwarmCommand is what a load generator starts more of itself with.
func newBenchSwarmCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "swarm",
		Short:  "A process of the load generator, run by the others",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C reaches all processes; the parent ends this one.
			signal.Ignore(os.Interrupt)
			// There is one loop. What helps it shares its thread.
			runtime.GOMAXPROCS(1)
			return swarm.Member(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
