// Command skein is the whole product in one binary: the server, a terminal
// chat, and the load generator that checks the server's promises.
//
// It persists what the server keeps in its data directory, and what the chat
// keeps in the user's configuration directory. When it dies, nothing that was
// acknowledged is lost.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// version is set when a release is built.
var version = "dev"

func main() {
	err := newRootCommand().Execute()
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintln(os.Stderr, "skein:", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		if hint := advice(err); hint != "" {
			fmt.Fprintln(os.Stderr, "  "+hint)
		}
		os.Exit(1)
	}
}

// exitCode ends the program without further words.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "skein",
		Short: "A messaging server in one binary",
		Long: `Skein is a messaging server: what it has acknowledged arrives exactly once,
in order, on every device, whatever dies in between.`,
		Example: `  skein serve                            start on the embedded store
  skein serve --max-conns 1000000        the same in many processes, for as many links
  skein mailbox                          the store and the mailboxes alone
  skein gateway                          what clients connect to, in front of them
  skein router --store redis             which gateways clients connect to
  skein relay --store redis              what connects a region with others
  skein health                           whether clients should be sent here
  skein chat --user alice --register     chat in the terminal
  skein bench chat                       150,000 messages, each one verified`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newServeCommand(), newMailboxCommand(), newGatewayCommand(), newRouterCommand(), newMonitorCommand(), newWorkerCommand(),
		newHealthCommand(), newDrainCommand(), newLogLevelCommand(), newNotifyCommand(), newWalletCommand(), newCampaignCommand(), newAuditCommand(), newTraceCommand(),
		newClusterCommand(), newRegionCommand(), newRelayCommand(), newStandbyCommand(),
		newChatCommand(), newBenchCommand(), newReportCommand(), newConfigCommand(), newDoctorCommand(), newPlanCommand(), newVersionCommand(),
	)
	explainUsage(root)
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "skein", version) },
	}
}
