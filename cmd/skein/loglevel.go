package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

func newLogLevelCommand() *cobra.Command {
	var f operatorFlags
	var ops string
	cmd := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Change what a running node logs",
		Long: `Makes the node whose operations address is --ops, and its workers, log from
LEVEL on: debug, info, warn or error. It holds until the node stops. Without a
LEVEL it says which one holds.`,
		Example: `  skein log-level debug
  skein log-level info --ops 10.0.0.7:7070 --token-file /etc/skein/operator.token`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := f.token()
			if err != nil {
				return err
			}
			method, level := http.MethodGet, ""
			if len(args) == 1 {
				method, level = http.MethodPut, args[0]
			}
			status, err := askLogLevel(cmd.Context(), method, base(ops), level, token)
			if err != nil {
				return err
			}
			if f.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(status)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The node logs from %s on%s.\n", status.Level, withWorkers(status.Workers))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&ops, "ops", config.Default().Ops, "operations address of the node")
	return cmd
}

func withWorkers(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", and so does its worker"
	}
	return fmt.Sprintf(", and so do its %d workers", n)
}

// askLogLevel asks a node's ops listener for its log level, or changes it.
func askLogLevel(ctx context.Context, method, url, level, token string) (status node.LogLevelStatus, err error) {
	err = askOps(ctx, method, url, "/log-level", level, token, &status)
	return status, err
}
