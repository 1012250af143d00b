package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

// sponsor pays for the campaigns.
func (r *enveloping) sponsor() im.UserID { return r.first + im.UserID(r.cfg.Conns) }

// as is the API as a user has it.
func (r *enveloping) as(user im.UserID) *client.API {
	return r.target.api.WithToken(swarm.Token(r.cfg.Seed, user))
}

// fund puts money into the wallets of those who spend.
func (r *enveloping) fund(ctx context.Context) error {
	r.say("putting money into %d wallets", r.cfg.Senders+1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(apiConns)
	rounds := int64(r.cfg.Rounds)
	if r.cfg.Issue > 0 {
		group.Go(func() error { return r.topUp(ctx, r.sponsor(), rounds*int64(r.cfg.Issue)*r.cfg.Cents) })
	}
	each := rounds * int64((r.cfg.Send+r.cfg.Senders-1)/r.cfg.Senders) * r.cfg.Cents * swarm.Friends
	for i := range r.cfg.Senders {
		if each == 0 {
			break
		}
		group.Go(func() error { return r.topUp(ctx, r.first+im.UserID(swarm.Sender(i)), each) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("putting money into wallets: %w", err)
	}
	return nil
}

// topUp puts money into a wallet, and waits until it is there.
func (r *enveloping) topUp(ctx context.Context, user im.UserID, cents int64) error {
	req := &skeinv1.TopUpRequest{Reference: fmt.Sprintf("%s-%d", r.run, user), User: uint64(user), Cents: cents}
	if err := retry(ctx, func() error {
		return r.target.api.Call(ctx, rpc.TreasuryServiceTopUpProcedure, req, new(skeinv1.PaymentResponse))
	}); err != nil {
		return err
	}
	return retry(ctx, func() error {
		balance, err := r.balance(ctx, user)
		if err == nil && balance < cents {
			err = im.Errorf(im.Unavailable, "the money has not arrived")
		}
		return err
	})
}

func (r *enveloping) balance(ctx context.Context, user im.UserID) (int64, error) {
	var w skeinv1.GetWalletResponse
	err := r.as(user).Call(ctx, rpc.WalletServiceGetProcedure, &skeinv1.GetWalletRequest{}, &w)
	return w.GetBalance(), err
}

// campaignLook is how often the end of a campaign is looked for.
const campaignLook = 100 * time.Millisecond

// newCampaign makes the campaign of a round that starts at a time.
func (r *enveloping) newCampaign(ctx context.Context, start time.Time) (uint64, error) {
	c := &r.cfg
	end := start.Add(time.Duration(c.shaking()*float64(time.Second)) + c.rest)
	req := &skeinv1.CreateCampaignRequest{
		Sponsor: uint64(r.sponsor()), Total: int64(c.Issue) * c.Cents, Count: uint32(c.Issue), Rate: uint32(c.IssueRate),
		Key:  &skeinv1.Key{Name: fmt.Sprintf("%s-%d", r.run, len(r.res.Rounds)), AskedMs: time.Now().UnixMilli()},
		Rule: skeinv1.SplitRule(c.rule()), StartMs: start.UnixMilli(), EndMs: end.UnixMilli(), Title: "bench",
		// Nobody is to reach it.
		Limit: uint32(min(c.Issue, im.MaxWins)),
	}
	var res skeinv1.CreateCampaignResponse
	err := retry(ctx, func() error {
		return r.target.api.Call(ctx, rpc.TreasuryServiceCreateCampaignProcedure, req, &res)
	})
	if err != nil {
		return 0, fmt.Errorf("making a campaign: %w", err)
	}
	// It is there when the sponsor's money is.
	err = retry(ctx, func() error {
		_, err := r.campaign(ctx, res.GetCampaign())
		if im.KindOf(err) == im.NotFound {
			return im.Errorf(im.Unavailable, "the campaign is not there yet")
		}
		return err
	})
	return res.GetCampaign(), err
}

func (r *enveloping) campaign(ctx context.Context, id uint64) (*skeinv1.GetCampaignResponse, error) {
	res := new(skeinv1.GetCampaignResponse)
	return res, r.target.api.Call(ctx, rpc.TreasuryServiceGetCampaignProcedure, &skeinv1.GetCampaignRequest{Campaign: id}, res)
}

// shakes is the first half of a round.
func (r *enveloping) shakes(ctx context.Context, round *EnvelopesRound, qps float64) error {
	at := time.Now().Add(r.cfg.lead + time.Duration(r.lead()))
	start := r.swarm.Now() + int64(time.Until(at))
	id, err := r.newCampaign(ctx, at)
	if err != nil {
		return err
	}
	before := r.swarm.Status().Money
	r.say("%.0f shakes/s for %.0f s, and %d envelopes, %d a second", qps, r.cfg.shaking(), r.cfg.Issue, r.cfg.IssueRate)
	phase := r.control.begin(qps)
	issued := r.watchIssuing(ctx, id, at)
	l, err := r.loadFrom(ctx, swarm.Load{
		What: swarm.Shakes, Start: start, Rate: qps, Seconds: r.cfg.shaking(), Campaign: im.CampaignID(id),
	}, func(*swarm.Status) { phase.heed(func(qps float64) error { return r.changeRate(ctx, qps) }) },
		func(s *swarm.Status) bool { return s.Money.Paid >= s.Money.Won })
	r.control.end()
	perSecond := issued()
	if err != nil {
		return err
	}
	end, err := r.finished(ctx, id, &before)
	if err != nil {
		return err
	}
	after := r.swarm.Status().Money
	round.Shakes = newShakes(&r.cfg, l, &before, &after, end)
	round.Shakes.issuedIn(perSecond)
	return nil
}

// changeRate changes how many shakes a second are sent.
func (r *enveloping) changeRate(ctx context.Context, qps float64) error {
	r.say("%.0f shakes/s from now on", qps)
	return r.swarm.Rate(ctx, swarm.Rate{At: r.swarm.Now() + r.lead(), Rate: qps})
}

// watchIssuing asks every second how many envelopes the campaign has given out.
// What it returns stops that, and has how many in each second.
func (r *enveloping) watchIssuing(ctx context.Context, id uint64, start time.Time) func() []uint32 {
	ctx, cancel := context.WithCancel(ctx)
	var list []uint32
	var watching sync.WaitGroup
	watching.Go(func() {
		last := uint32(0)
		for next := start.Add(time.Second); pause(ctx, time.Until(next)); next = next.Add(time.Second) {
			c, err := r.campaign(ctx, id)
			if err != nil {
				// The next answer has what this one lacks.
				list = append(list, 0)
				continue
			}
			list = append(list, c.GetIssued()-last)
			last = c.GetIssued()
		}
	})
	return func() []uint32 {
		cancel()
		watching.Wait()
		return list
	}
}

// finished waits for the end of a campaign, and until all that was won in it has
// arrived.
func (r *enveloping) finished(ctx context.Context, id uint64, before *swarm.MoneyStatus) (end *skeinv1.GetCampaignResponse, err error) {
	r.say("waiting for the end of the campaign")
	limited, cancel := context.WithTimeout(ctx, r.cfg.rest+r.cfg.AnswerTimeout)
	defer cancel()
	for {
		c, err := r.campaign(limited, id)
		if err == nil {
			end = c
		} else if end == nil && limited.Err() != nil {
			return nil, fmt.Errorf("reading the campaign: %w", err)
		}
		if end.GetFinished() || !pause(limited, campaignLook) && end != nil {
			break
		}
	}
	_, err = r.until(ctx, r.cfg.AnswerTimeout, func(s *swarm.Status) bool {
		return s.Money.Paid-before.Paid >= uint64(end.GetWon())
	})
	return end, err
}

// envelopes is the second half of a round.
func (r *enveloping) envelopes(ctx context.Context, round *EnvelopesRound) error {
	r.say("%d envelopes to %d friends each, %.0f a second", r.cfg.Send, swarm.Friends, r.cfg.SendRate)
	before := r.swarm.Status().Money
	l, err := r.loadFrom(ctx, swarm.Load{
		What: swarm.Envelopes, Start: r.swarm.Now() + r.lead(), Rate: r.cfg.SendRate, Seconds: r.cfg.sending(),
		Cents: im.Cents(r.cfg.Cents * swarm.Friends), Rule: r.cfg.rule(),
	}, func(*swarm.Status) {}, func(s *swarm.Status) bool {
		m := &s.Money
		return m.Received-before.Received >= swarm.Friends*(m.Sent-before.Sent) && m.Opening == 0 && m.Taken >= m.Opened
	})
	if err != nil {
		return err
	}
	after := r.swarm.Status().Money
	round.Envelopes = newSentEnvelopes(&r.cfg, l, &before, &after)
	r.sent = append(r.sent, l.books.Envelopes...)
	return nil
}

var errNoRound = errors.New("no shakes are being sent now")
