package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
)

// treasury asks a node's TreasuryService.
func (f *operatorFlags) treasury(node string) (skeinv1connect.TreasuryServiceClient, error) {
	bearer, err := f.bearer()
	if err != nil {
		return nil, err
	}
	return skeinv1connect.NewTreasuryServiceClient(http.DefaultClient, base(node), bearer), nil
}

// print prints an answer: as JSON, or in words.
func (f *operatorFlags) print(w io.Writer, m proto.Message, words func(w io.Writer)) error {
	if !f.asJSON {
		words(w)
		return nil
	}
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(json.RawMessage(b))
}

func newWalletCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "wallet", Short: "Bring money in, and pay it out"}
	cmd.AddCommand(newTopUpCommand(), newSettleCommand())
	return cmd
}

func newTopUpCommand() *cobra.Command {
	var f operatorFlags
	var reference, text string
	cmd := &cobra.Command{
		Use:   "top-up NODE USER CENTS",
		Short: "Bring money from outside into a user's wallet",
		Long: `Brings money into the wallet of USER, a name or a number, through the node whose
HTTP address is NODE. The reference names the payment for ever: the same top-up
again changes nothing and gets the first answer.`,
		Example: `  skein wallet top-up 127.0.0.1:7080 alice 5000 --reference invoice-17
  skein wallet top-up 127.0.0.1:7080 4294967296 5000 --reference invoice-17`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			cents, err := number(args[2], "an amount in cents")
			if err != nil {
				return err
			}
			user, err := f.user(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			t, err := f.treasury(args[0])
			if err != nil {
				return err
			}
			res, err := t.TopUp(cmd.Context(), connect.NewRequest(&skeinv1.TopUpRequest{
				Reference: reference, User: user, Cents: int64(cents), Text: text,
			}))
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), res.Msg, func(w io.Writer) {
				fmt.Fprintf(w, "Payment %d: %d cents for user %d.\n", res.Msg.Payment, res.Msg.Cents, res.Msg.User)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reference, "reference", "", "your own name of the payment, 1 to 64 bytes; required")
	cmd.Flags().StringVar(&text, "text", "", "shown in the statement")
	_ = cmd.MarkFlagRequired("reference")
	return cmd
}

func newSettleCommand() *cobra.Command {
	var f operatorFlags
	var paid, back bool
	cmd := &cobra.Command{
		Use:   "settle NODE PAYMENT --paid|--back",
		Short: "Say that a withdrawal was paid out, or give it back",
		Example: `  skein wallet settle 127.0.0.1:7080 1234567 --paid
  skein wallet settle 127.0.0.1:7080 1234567 --back`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			payment, err := number(args[1], "a payment's number")
			if err != nil {
				return err
			}
			t, err := f.treasury(args[0])
			if err != nil {
				return err
			}
			res, err := t.Settle(cmd.Context(), connect.NewRequest(&skeinv1.SettleRequest{Payment: payment, Paid: paid}))
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), res.Msg, func(w io.Writer) {
				what := "went back to"
				if paid {
					what = "were paid out to"
				}
				fmt.Fprintf(w, "%d cents %s user %d.\n", res.Msg.Cents, what, res.Msg.User)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&paid, "paid", false, "it was paid out")
	cmd.Flags().BoolVar(&back, "back", false, "it goes back to the wallet")
	cmd.MarkFlagsOneRequired("paid", "back")
	cmd.MarkFlagsMutuallyExclusive("paid", "back")
	return cmd
}

func newCampaignCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "campaign", Short: "Give money away to those who shake"}
	cmd.AddCommand(newCampaignCreateCommand(), newCampaignShowCommand())
	return cmd
}

func newCampaignCreateCommand() *cobra.Command {
	f := campaignFlags{req: &skeinv1.CreateCampaignRequest{Key: &skeinv1.Key{}}}
	cmd := &cobra.Command{
		Use:   "create NODE",
		Short: "Create a campaign",
		Long: `Moves money from the sponsor's wallet into a campaign whose envelopes become
available at a steady rate. What nobody has won at the end returns to the
sponsor. Under the same --name and --asked it is created once, however often
the command is repeated.`,
		Example: `  skein campaign create 127.0.0.1:7080 --sponsor alice --total 1000000 --count 40000 --rate 200 --lasts 5m --title "Happy New Year"`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.create(cmd, args[0]) },
	}
	f.add(cmd)
	for _, required := range []string{"sponsor", "total", "count", "rate"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

// campaignFlags are what is to be created.
type campaignFlags struct {
	operatorFlags
	req                   *skeinv1.CreateCampaignRequest
	name, sponsor         string
	startIn, lasts, lease time.Duration
	random                bool
}

func (f *campaignFlags) add(cmd *cobra.Command) {
	f.operatorFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.sponsor, "sponsor", "", "name or number of the user whose wallet pays")
	flags.Int64Var(&f.req.Total, "total", 0, "cents to give away")
	flags.Uint32Var(&f.req.Count, "count", 0, "how many envelopes that makes")
	flags.Uint32Var(&f.req.Rate, "rate", 0, "how many become available per second")
	flags.Uint32Var(&f.req.Limit, "limit", 1, "how many a user may win")
	flags.BoolVar(&f.random, "random", false, "random amounts instead of equal ones")
	flags.DurationVar(&f.startIn, "in", 0, "when it begins, from --asked")
	flags.DurationVar(&f.lasts, "lasts", time.Hour, "how long it lasts")
	flags.DurationVar(&f.lease, "lease", 0, "how long a gateway may hold what nobody wins; 0: 2 seconds")
	flags.StringVar(&f.req.Title, "title", "", "shown to winners")
	flags.StringVar(&f.name, "name", "", "your own name of the campaign; empty: a random one")
	flags.Int64Var(&f.req.Key.AskedMs, "asked", 0, "when you first asked for it, in milliseconds since 1970; 0: now")
}

// create asks a node for the campaign.
func (f *campaignFlags) create(cmd *cobra.Command, at string) error {
	t, err := f.treasury(at)
	if err != nil {
		return err
	}
	req := f.req
	if req.Sponsor, err = f.user(cmd.Context(), at, f.sponsor); err != nil {
		return err
	}
	if req.Key.AskedMs == 0 {
		req.Key.AskedMs = time.Now().UnixMilli()
	}
	// The same again, when the command is repeated.
	start := time.UnixMilli(req.Key.AskedMs).Add(f.startIn)
	if req.Key.Name = f.name; f.name == "" {
		req.Key.Name = rand.Text()
	}
	req.StartMs, req.EndMs, req.LeaseMs = start.UnixMilli(), start.Add(f.lasts).UnixMilli(), f.lease.Milliseconds()
	if f.random {
		req.Rule = skeinv1.SplitRule_SPLIT_RULE_RANDOM
	}
	res, err := t.CreateCampaign(cmd.Context(), connect.NewRequest(req))
	if err != nil {
		return fmt.Errorf("%w (to try the same again: --name %s --asked %d)", err, req.Key.Name, req.Key.AskedMs)
	}
	return f.print(cmd.OutOrStdout(), res.Msg, func(w io.Writer) {
		fmt.Fprintf(w, "Campaign %d begins at %s.\n", res.Msg.Campaign, start.Format(time.DateTime))
	})
}

func newCampaignShowCommand() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:     "show NODE CAMPAIGN",
		Short:   "Show how a campaign stands",
		Example: `  skein campaign show 127.0.0.1:7080 1234567 --json`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := number(args[1], "a campaign's number")
			if err != nil {
				return err
			}
			t, err := f.treasury(args[0])
			if err != nil {
				return err
			}
			res, err := t.GetCampaign(cmd.Context(), connect.NewRequest(&skeinv1.GetCampaignRequest{Campaign: id}))
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), res.Msg, func(w io.Writer) { writeCampaign(w, res.Msg) })
		},
	}
	f.add(cmd)
	return cmd
}

func writeCampaign(w io.Writer, c *skeinv1.GetCampaignResponse) {
	t := c.Terms
	fmt.Fprintf(w, "%s: %d cents in %d envelopes, %d per second\n", clean(t.Title), t.Total, t.Count, t.Rate)
	fmt.Fprintf(w, "  from %s to %s\n", time.UnixMilli(t.StartMs).Format(time.DateTime), time.UnixMilli(t.EndMs).Format(time.DateTime))
	fmt.Fprintf(w, "  %d issued, %d won by %d users, %d cents\n", c.Issued, c.Won, c.Winners, c.WonCents)
	if c.Finished {
		fmt.Fprintf(w, "  it is over; %d cents went back to user %d\n", c.Returned, t.Sponsor)
	}
}

// number reads a whole number that a person gives.
func number(text, what string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not %s", text, what)
	}
	return n, nil
}
