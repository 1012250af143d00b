package api

import (
	"context"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

func (a *API) sendEnvelope(ctx context.Context, who *caller, req *skeinv1.SendEnvelopeRequest) (*skeinv1.SendEnvelopeResponse, error) {
	if len(req.To) > im.MaxReceivers {
		return nil, im.Errorf(im.TooLarge, "an envelope goes to at most %d friends", im.MaxReceivers)
	}
	rule, err := splitRule(req.Rule)
	if err != nil {
		return nil, err
	}
	to := make([]im.UserID, 0, len(req.To))
	for _, u := range req.To {
		if err := checkPeer(who, u); err != nil {
			return nil, err
		}
		to = append(to, im.UserID(u))
	}
	made, err := im.Ask[*im.EnvelopeCreated](ctx, a.mailbox, im.User(who.user), &im.CreateEnvelope{
		Key: key(req.Key), Device: who.device, To: to, Total: im.Cents(req.Total), Shares: req.Shares,
		Rule: rule, Text: req.Greeting, Lifetime: im.Millis(req.LifetimeMs),
	})
	if err != nil {
		return nil, err
	}
	return &skeinv1.SendEnvelopeResponse{
		Envelope: uint64(made.Envelope), Seq: uint64(made.Seq), ExpiresMs: int64(made.Expires),
	}, nil
}

func (a *API) openEnvelope(ctx context.Context, who *caller, req *skeinv1.OpenEnvelopeRequest) (*skeinv1.OpenEnvelopeResponse, error) {
	o, err := im.Ask[*im.Opened](ctx, a.mailbox, im.Envelope(im.EnvelopeID(req.Envelope)), &im.Open{User: who.user})
	if err != nil {
		return nil, err
	}
	return &skeinv1.OpenEnvelopeResponse{Sender: uint64(o.Sender), Cents: int64(o.Cents), TimeMs: int64(o.Time)}, nil
}

func (a *API) getEnvelope(ctx context.Context, who *caller, req *skeinv1.GetEnvelopeRequest) (*skeinv1.GetEnvelopeResponse, error) {
	e, err := im.Ask[*im.EnvelopeInfo](ctx, a.mailbox, im.Envelope(im.EnvelopeID(req.Envelope)), &im.GetEnvelope{User: who.user})
	if err != nil {
		return nil, err
	}
	res := &skeinv1.GetEnvelopeResponse{
		Sender: uint64(e.Sender), Total: int64(e.Total), Shares: e.Shares, Rule: skeinv1.SplitRule(e.Rule),
		Greeting: e.Text, CreatedMs: int64(e.Created), ExpiresMs: int64(e.Expires),
		Finished: e.Finished, Returned: int64(e.Returned),
	}
	for _, u := range e.To {
		res.To = append(res.To, uint64(u))
	}
	for _, o := range e.Openings {
		res.Openings = append(res.Openings, &skeinv1.Opening{User: uint64(o.User), Cents: int64(o.Cents), TimeMs: int64(o.Time)})
	}
	return res, nil
}
