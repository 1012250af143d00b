package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/bench"
)

func newBenchDatasetCommand() *cobra.Command {
	var users, friends, perRegion int
	var seed uint64
	var format, out string
	cmd := &cobra.Command{
		Use:   "dataset",
		Short: "Write a data set of users and friends",
		Long: `Writes who is whose friend. The same flags give the same file. Formats: article,
a line "user,friend,region" for each direction of each friendship, as
--article-data of serve reads it; json, one object.`,
		Example: "  skein bench dataset --users 1000 --friends 30 --format article --out friends.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := bench.NewDataset(users, friends, seed)
			if err != nil {
				return err
			}
			write := d.WriteJSON
			switch format {
			case "article":
				write = func(w io.Writer) error { return d.WriteArticle(w, perRegion) }
			case "json":
			default:
				return fmt.Errorf("format %q: one of article, json", format)
			}
			return writeTo(out, cmd.OutOrStdout(), write)
		},
	}
	f := cmd.Flags()
	f.IntVar(&users, "users", 1000, "how many users, numbered from 1")
	f.IntVar(&friends, "friends", 30, "how many friends each has on average")
	f.Uint64Var(&seed, "seed", 1, "seed of the random numbers")
	f.StringVar(&format, "format", "article", "article or json")
	f.IntVar(&perRegion, "per-region", 1000, "users per region, in the article's format")
	f.StringVar(&out, "out", "", "file to write; empty or -: standard output")
	return cmd
}

// writeTo writes a file, or standard output when there is no name.
func writeTo(file string, stdout io.Writer, write func(io.Writer) error) error {
	if file == "" || file == "-" {
		return write(stdout)
	}
	return writeFile(file, write)
}
