package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

// traceTimeout bounds how long one process is waited for.
const traceTimeout = 10 * time.Second

func newTraceCommand() *cobra.Command {
	var f operatorFlags
	var ops []string
	var slow int
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Show what became of one message, step by step",
		Long: `Asks the processes whose operations addresses are --ops for what they know of
the trace ID, and shows it as a waterfall. Which messages are traced is up to
--trace-percent and --trace-users of the gateways, and to clients: '/trace' in
'skein chat' prints an ID. Without an ID, --slow lists the slowest of late.

Processes keep the last spans in memory only. Between machines, times are as far
apart as their clocks.`,
		Example: `  skein trace 9f2c6a01d5e84b37
  skein trace 9f2c6a01d5e84b37 --ops 127.0.0.1:7070,127.0.0.1:7072
  skein trace --slow 10 --ops 10.0.0.5:7070 --token-file /etc/skein/operator.token --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id im.TraceID
			var err error
			switch {
			case len(args) == 1 && slow == 0:
				if id, err = im.ParseTraceID(args[0]); err != nil {
					return err
				}
			case len(args) == 1 || slow < 1 || slow > trace.MaxSlow:
				return fmt.Errorf("give the id of a trace, or --slow with a number from 1 to %d", trace.MaxSlow)
			}
			report, err := f.collect(cmd.Context(), ops, id, slow, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return showTraces(cmd.OutOrStdout(), report, id, f.asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringSliceVar(&ops, "ops", []string{config.Default().Ops}, "operations addresses to ask, comma-separated")
	cmd.Flags().IntVar(&slow, "slow", 0, "list this many of the slowest traces")
	return cmd
}

// tracing follows no redirects: they could take the token elsewhere.
var tracing = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// collect asks every process, and puts together what they know. Those that do
// not answer are named, and missing.
func (f *operatorFlags) collect(ctx context.Context, ops []string, id im.TraceID, slow int, progress io.Writer) (trace.Report, error) {
	token, err := f.token()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return trace.Report{}, err
	}
	var all []trace.Report
	for _, addr := range ops {
		ctx, cancel := context.WithTimeout(ctx, traceTimeout)
		source := trace.Source{Base: base(strings.TrimSpace(addr)), Token: token, HTTP: tracing}
		var r trace.Report
		if slow > 0 {
			r, err = source.Slow(ctx, slow)
		} else {
			r, err = source.Trace(ctx, id)
		}
		cancel()
		if err != nil {
			fmt.Fprintf(progress, "%s: %v\n", addr, err)
			continue
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return trace.Report{}, fmt.Errorf("no process could be asked; --ops names their operations addresses, --token-file the operator's token")
	}
	return trace.Merge(max(slow, 1), all...), nil
}

func showTraces(out io.Writer, report trace.Report, id im.TraceID, asJSON bool) error {
	switch {
	case asJSON:
		return json.NewEncoder(out).Encode(report)
	case id == 0 && len(report.Traces) == 0:
		fmt.Fprintln(os.Stderr, "Nothing was traced in the last ten minutes: see --trace-percent and --trace-users of gateways, and /trace in the chat.")
		return nil
	case id == 0:
		return report.WriteSlow(out)
	case len(report.Traces) == 0:
		fmt.Fprintf(os.Stderr, "Nothing is known of trace %s: it is too old, or the processes that it came through were not asked (--ops).\n", id)
		return exitCode(1)
	}
	return report.Traces[0].WriteText(out)
}
