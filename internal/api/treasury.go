package api

import (
	"context"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

// defaultLease is how long a gateway may hold what nobody wins unless the
// operator says otherwise.
const defaultLease im.Millis = 2000

// topUp asks first whether there is such a user: a payment that is made cannot
// be unmade.
func (a *API) topUp(ctx context.Context, _ *caller, req *skeinv1.TopUpRequest) (*skeinv1.PaymentResponse, error) {
	if req.User == 0 || req.User > uint64(im.MaxUser) {
		return nil, im.Errorf(im.Invalid, "there is no user %d", req.User)
	}
	if _, err := a.wallet(ctx, im.UserID(req.User)); err != nil {
		return nil, err
	}
	return a.payment(ctx, im.TopUpOf(req.Reference), &im.TopUp{
		Reference: req.Reference, User: im.UserID(req.User), Cents: im.Cents(req.Cents), Text: req.Text,
	})
}

func (a *API) settlePayment(ctx context.Context, _ *caller, req *skeinv1.SettleRequest) (*skeinv1.PaymentResponse, error) {
	return a.payment(ctx, im.PaymentID(req.Payment), &im.Settle{Paid: req.Paid})
}

func (a *API) getPayment(ctx context.Context, _ *caller, req *skeinv1.GetPaymentRequest) (*skeinv1.PaymentResponse, error) {
	return a.payment(ctx, im.PaymentID(req.Payment), &im.GetPayment{})
}

// payment asks a payment for something that it answers with its state.
func (a *API) payment(ctx context.Context, id im.PaymentID, cmd im.Command) (*skeinv1.PaymentResponse, error) {
	p, err := im.Ask[*im.PaymentInfo](ctx, a.mailbox, im.Payment(id), cmd)
	if err != nil {
		return nil, err
	}
	return &skeinv1.PaymentResponse{
		Payment: uint64(id), Reference: p.Reference, User: uint64(p.User), Cents: int64(p.Cents), Text: p.Text,
		State: skeinv1.PaymentState(p.State), TimeMs: int64(p.Time),
	}, nil
}

func (a *API) createCampaign(ctx context.Context, _ *caller, req *skeinv1.CreateCampaignRequest) (*skeinv1.CreateCampaignResponse, error) {
	if req.Sponsor == 0 || req.Sponsor > uint64(im.MaxUser) {
		return nil, im.Errorf(im.Invalid, "there is no user %d to sponsor it", req.Sponsor)
	}
	rule, err := splitRule(req.Rule)
	if err != nil {
		return nil, err
	}
	lease := im.Millis(req.LeaseMs)
	if lease == 0 {
		lease = defaultLease
	}
	made, err := im.Ask[*im.CampaignCreated](ctx, a.mailbox, im.User(im.UserID(req.Sponsor)), &im.CreateCampaign{
		Key: key(req.Key), Total: im.Cents(req.Total), Count: req.Count, Rule: rule, Rate: req.Rate,
		Start: im.Millis(req.StartMs), End: im.Millis(req.EndMs), Limit: req.Limit, Lease: lease, Title: req.Title,
	})
	if err != nil {
		return nil, err
	}
	return &skeinv1.CreateCampaignResponse{Campaign: uint64(made.Campaign), Seq: uint64(made.Seq)}, nil
}

func (a *API) getCampaign(ctx context.Context, _ *caller, req *skeinv1.GetCampaignRequest) (*skeinv1.GetCampaignResponse, error) {
	c, err := im.Ask[*im.CampaignInfo](ctx, a.mailbox, im.Campaign(im.CampaignID(req.Campaign)), &im.GetCampaign{})
	if err != nil {
		return nil, err
	}
	return &skeinv1.GetCampaignResponse{
		Terms: campaignTerms(c), Issued: c.Issued, Won: c.Won, WonCents: int64(c.WonCents), Leased: c.Leased,
		Winners: c.Winners, Finished: c.Finished, Returned: int64(c.Returned),
	}, nil
}

func campaignTerms(c *im.CampaignInfo) *skeinv1.CreateCampaignRequest {
	t := &c.Terms
	return &skeinv1.CreateCampaignRequest{
		Sponsor: uint64(c.Sponsor), Key: &skeinv1.Key{Name: t.Key.Name, AskedMs: int64(t.Key.Asked)},
		Total: int64(t.Total), Count: t.Count, Rule: skeinv1.SplitRule(t.Rule), Rate: t.Rate,
		StartMs: int64(t.Start), EndMs: int64(t.End), Limit: t.Limit, LeaseMs: int64(t.Lease), Title: t.Title,
	}
}
