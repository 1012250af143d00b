package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/node"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
)

func newRegionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "region", Short: "Look at regions, and move users between them"}
	cmd.AddCommand(newRegionStatusCommand(), newRegionMoveCommand())
	return cmd
}

func newRegionStatusCommand() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "status NODE",
		Short: "Show how a region is connected with the others",
		Long: `Asks the node whose operations address is NODE how its relay stands with every
other region: whether messages can leave, what waits, what was dropped and will be
sent again by those who have it. A mailbox node whose relays are processes of their
own says which of these are connected; ask them for the rest.`,
		Example: `  skein region status 127.0.0.1:7070
  skein region status 127.0.0.1:7076                     # a relay on this machine`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var status node.RegionStatus
			if err := f.ask(cmd.Context(), http.MethodGet, base(args[0])+"/regions", &status); err != nil {
				return err
			}
			if f.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(status)
			}
			printRegions(cmd.OutOrStdout(), &status)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func printRegions(w io.Writer, s *node.RegionStatus) {
	fmt.Fprintf(w, "Region %s; the directory is in %s. %d users are on the way to another region.\n", s.Region, s.Directory, s.Users.Moves)
	for _, p := range s.Peers {
		state := "cut off"
		if p.Up {
			state = "connected"
		}
		since := time.Since(p.Since).Round(time.Second)
		switch {
		case p.Relay != "":
			fmt.Fprintf(w, "  %s by relay %s at %s: %s for %s\n", p.Region, p.Relay, p.Addr, state, since)
		case p.Addr == "":
			fmt.Fprintf(w, "  %s: %s for %s\n", p.Region, state, since)
		default:
			fmt.Fprintf(w, "  %s at %s: %s for %s; sent %d, received %d, dropped %d, waiting %d bytes, %d links to go on\n",
				p.Region, p.Addr, state, since, p.Sent, p.Received, p.Dropped, p.Queued, p.Owing)
		}
		if p.Cause != "" {
			fmt.Fprintf(w, "    %s\n", p.Cause)
		}
	}
}

func newRegionMoveCommand() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "move NODE USER REGION",
		Short: "Move a user to another region",
		Long: `Moves the user with the number or name USER to another region, with timeline,
contacts, wallet and devices, while messages flow: nothing is lost, repeated or
reordered. NODE is the operations address of a node in the region where the user
lives now. The user's devices are sent after it. A move that was broken off goes
on by itself, or when the command is given again.`,
		Example: `  skein region move 127.0.0.1:7070 alice eu
  skein region move 127.0.0.1:7070 4294967296 eu --json`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := im.CheckRegion(im.Region(args[2])); err != nil {
				return err
			}
			query := url.Values{"user": {args[1]}, "to": {args[2]}}
			var moved region.Moved
			if err := f.ask(cmd.Context(), http.MethodPost, base(args[0])+"/regions/move?"+query.Encode(), &moved); err != nil {
				return err
			}
			if f.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(moved)
			}
			if moved.Entries+moved.Records == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "User %s lives in %s already.\n", args[1], moved.Home.Region)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "User %s lives in %s: %d entries and %d records were carried, away for %.1f ms.\n",
				args[1], moved.Home.Region, moved.Entries, moved.Records, float64(moved.Away.Microseconds())/1000)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// ask asks a node's ops listener, and decodes the answer.
func (f *operatorFlags) ask(ctx context.Context, method, url string, answer any) error {
	token, err := f.token()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusOK {
		return json.Unmarshal(body, answer)
	}
	var no node.Refusal
	if json.Unmarshal(body, &no) == nil && no.Error != "" {
		if no.Region != "" {
			return fmt.Errorf("%s; ask a node of that region", no.Error)
		}
		return errors.New(no.Error)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w; it is there where the node is in one of several regions (--region) and has mailboxes", opsError(url, res))
	}
	return opsError(url, res)
}

func newRelayCommand() *cobra.Command {
	cmd := newNodeCommand(node.Relay, &cobra.Command{
		Use:   "relay",
		Short: "Run what connects a region of several nodes with the others",
		Long: `Holds the connections to the relays of other regions, at --relay-listen and to the
addresses in --regions, for the mailbox nodes that share its store. These find it by
themselves and show that they know the secret in --cluster-secret; they need
--region and --directory, and neither certificates nor addresses.

Run two or more: a relay keeps nothing, and when one dies the others take over. In
'skein serve', and in a mailbox node that is given --relay-cert, the relay is part of
the process. 'skein relay cert' makes the certificates.`,
		Example: `  skein relay cert east west --dir certs
  skein relay --store redis --redis 10.1.0.5:6379 --region east --directory east --regions 'west=10.2.0.1:7003|10.2.0.2:7003' \
      --relay-listen 10.1.0.1:7003 --relay-cert certs/east.pem --relay-key certs/east-key.pem --relay-ca certs/ca.pem \
      --role-listen 10.1.0.1:7006 --cluster-secret cluster.secret
  skein mailbox --store redis --redis 10.1.0.5:6379 --region east --directory east --cluster-secret cluster.secret
  skein region status 127.0.0.1:7076`,
	})
	cmd.AddCommand(newRelayCertCommand())
	return cmd
}

// Names of the authority's files.
const (
	authorityCert = "ca.pem"
	authorityKey  = "ca-key.pem"
)

func newRelayCertCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "cert REGION...",
		Short: "Make the certificates with which regions know each other",
		Long: `Makes a certificate and a key for each REGION in --dir, and the authority that
signs them if there is none there yet. Each region needs its own REGION.pem and
REGION-key.pem, and ca.pem. The authority's key, ca-key.pem, stays with you: who
has it can make itself any region.`,
		Example: `  skein relay cert east west --dir relay-certs`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return makeCerts(cmd.OutOrStdout(), dir, args, time.Now())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "relay-certs", "directory for the files")
	return cmd
}

func makeCerts(out io.Writer, dir string, names []string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authority, err := openAuthority(out, dir, now)
	if err != nil {
		return err
	}
	for _, name := range names {
		cert, key, err := authority.Issue(im.Region(name), now)
		if err != nil {
			return err
		}
		certFile, keyFile := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
		if err := errors.Join(os.WriteFile(keyFile, key, 0o600), os.WriteFile(certFile, cert, 0o644)); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: --relay-cert %s --relay-key %s --relay-ca %s\n", name, certFile, keyFile, filepath.Join(dir, authorityCert))
	}
	return nil
}

// openAuthority reads the authority's files, or makes them.
func openAuthority(out io.Writer, dir string, now time.Time) (*relay.Authority, error) {
	certFile, keyFile := filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey)
	cert, certErr := os.ReadFile(certFile)
	key, keyErr := os.ReadFile(keyFile)
	switch {
	case certErr == nil && keyErr == nil:
		return relay.LoadAuthority(cert, key)
	case !errors.Is(certErr, os.ErrNotExist) || !errors.Is(keyErr, os.ErrNotExist):
		return nil, fmt.Errorf("one of %s and %s cannot be read, and neither is replaced: %w", certFile, keyFile, errors.Join(certErr, keyErr))
	}
	a, cert, key, err := relay.NewAuthority(now)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(keyFile, key, 0o600), os.WriteFile(certFile, cert, 0o644)); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "Made the authority of all regions: keep %s to yourself.\n", keyFile)
	return a, nil
}
