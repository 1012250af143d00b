package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/bench"
	"github.com/skein-im/skein/internal/monitor"
	"github.com/skein-im/skein/internal/report"
)

func newReportCommand() *cobra.Command {
	var page, pictures string
	cmd := &cobra.Command{
		Use:   "report LOG...",
		Short: "Make charts of what a monitor or a benchmark has logged",
		Long: `Makes one HTML file, which needs nothing from elsewhere, of logs, and with --png a
picture of each chart. A LOG is a directory or file of a monitor's logs
(DATA/monitor, samples-N.log, samples-N.log.gz), or a file NAME.json that a
'skein bench' command has written with --json: of 'bench envelopes' it makes
charts, of the others tables.`,
		Example: `  skein report skein-data/monitor
  skein report --out run.html --png charts skein-data/monitor/samples-000000002.log
  skein report --out envelopes.html envelopes.json
  skein report bench-results/*.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := readReport(args)
			if err != nil {
				return err
			}
			if err := writeFile(page, p.Write); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), page)
			if pictures == "" {
				return nil
			}
			return writePictures(pictures, p, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&page, "out", "report.html", "file to write")
	cmd.Flags().StringVar(&pictures, "png", "", "directory to write a picture of each chart to; empty: none")
	return cmd
}

// readReport reads results of benchmarks, and all other logs as one.
func readReport(paths []string) (*report.Page, error) {
	var logs []string
	var pages []*report.Page
	for _, path := range paths {
		p, err := readResult(path)
		switch {
		case err != nil:
			return nil, err
		case p != nil:
			pages = append(pages, p)
		default:
			logs = append(logs, path)
		}
	}
	if len(logs) > 0 {
		p, err := monitor.Report(logs)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return report.Join(pages...), nil
}

// readResult reads the result of a benchmark; nil: it is none.
func readResult(path string) (*report.Page, error) {
	if !strings.HasSuffix(path, ".json") {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the result cannot be read: %w", err)
	}
	var res bench.EnvelopesResult
	if err := json.Unmarshal(text, &res); err == nil && len(res.Rounds) > 0 && !slices.Contains(res.Rounds, nil) {
		return res.Page(), nil
	}
	page, err := bench.FiguresPage(filepath.Base(path), text)
	if err != nil {
		return nil, fmt.Errorf("%s is no result of 'skein bench ... --json': %w", path, err)
	}
	return page, nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// writePictures writes each chart to a file of its own.
func writePictures(dir string, p *report.Page, out io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	n := 0
	for _, s := range p.Sections {
		for _, c := range s.Charts {
			n++
			path := filepath.Join(dir, fmt.Sprintf("%02d-%s.png", n, fileTitle(c.Title)))
			if err := writeFile(path, c.PNG); err != nil {
				return err
			}
			fmt.Fprintln(out, path)
		}
	}
	return nil
}

// fileTitle is a title as part of a file's name.
func fileTitle(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}
