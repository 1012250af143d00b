package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
)

// walletSample is how many wallets are compared with what their users believe,
// at most; the audit looks at all.
const walletSample = 2000

// problems are what does not agree, at most maxProblems of them in words.
type problems struct {
	mu    sync.Mutex
	list  []string
	found int
}

const maxProblems = 20

func (p *problems) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found++; len(p.list) < maxProblems {
		p.list = append(p.list, fmt.Sprintf(format, args...))
	}
}

// all says how many there are beyond those in words.
func (p *problems) all() []string {
	if more := p.found - len(p.list); more > 0 {
		return append(p.list, fmt.Sprintf("and %d more", more))
	}
	return p.list
}

// books compares the devices' books with the server's, and says what differs.
func (r *enveloping) books(ctx context.Context) ([]string, error) {
	r.say("comparing books: %d envelopes, up to %d wallets", len(r.sent), walletSample)
	own, err := r.swarm.Collect(ctx)
	if err != nil {
		return nil, err
	}
	p := new(problems)
	if own.Differing > 0 {
		p.add("%d devices were promised something else than what arrived in their wallets", own.Differing)
	}
	r.campaignBooks(p)
	if err := r.envelopeBooks(ctx, p); err != nil {
		return nil, err
	}
	if err := r.walletBooks(ctx, own.Wallets, p); err != nil {
		return nil, err
	}
	if b := &r.res.EnvelopesBooks; b.ClientCents != b.ServerCents {
		p.add("the devices have got %d cents, the server has given %d", b.ClientCents, b.ServerCents)
	}
	return p.all(), nil
}

// campaignBooks adds up the campaigns, as each side knows them.
func (r *enveloping) campaignBooks(p *problems) {
	b := &r.res.EnvelopesBooks
	for i, round := range r.res.Rounds {
		s := round.Shakes
		if s == nil {
			continue
		}
		b.Won += s.Won
		b.Issued += s.Issued
		b.ClientCents += s.WonCents
		b.ServerCents += s.serverCents
		if s.Won != s.serverWon || s.WonCents != s.serverCents {
			p.add("round %d: the devices have won %d times, %d cents; the campaign says %d times, %d cents",
				i+1, s.Won, s.WonCents, s.serverWon, s.serverCents)
		}
		if total := int64(r.cfg.Issue) * r.cfg.Cents; !s.finished {
			p.add("round %d: the campaign has not ended", i+1)
		} else if s.serverCents+s.Returned != total {
			p.add("round %d: of the campaign's %d cents %d were won and %d returned", i+1, total, s.serverCents, s.Returned)
		}
	}
}

// envelopeBooks asks the server for every envelope that was sent.
func (r *enveloping) envelopeBooks(ctx context.Context, p *problems) error {
	b := &r.res.EnvelopesBooks
	for _, round := range r.res.Rounds {
		if e := round.Envelopes; e != nil {
			b.Opened += e.Opened
			b.ClientCents += e.OpenedCents
		}
	}
	var mu sync.Mutex
	var opened uint64
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(apiConns)
	for _, e := range r.sent {
		group.Go(func() error {
			var info skeinv1.GetEnvelopeResponse
			err := retry(gctx, func() error {
				return r.as(r.first+im.UserID(e.Number)).Call(gctx, rpc.EnvelopeServiceGetProcedure,
					&skeinv1.GetEnvelopeRequest{Envelope: uint64(e.ID)}, &info)
			})
			if im.KindOf(err) == im.NotFound {
				p.add("the server does not know envelope %d", e.ID)
				return nil
			}
			cents := checkEnvelope(&e, &info, p)
			mu.Lock()
			defer mu.Unlock()
			opened += uint64(len(info.GetOpenings()))
			b.ServerCents += cents
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("reading the envelopes: %w", err)
	}
	if opened != b.Opened {
		p.add("the devices have opened %d shares, the envelopes say %d", b.Opened, opened)
	}
	b.ServerOpened = opened
	return nil
}

// checkEnvelope compares an envelope with what its sender knows, and returns
// what was opened.
func checkEnvelope(e *swarm.Envelope, info *skeinv1.GetEnvelopeResponse, p *problems) (cents int64) {
	for _, o := range info.GetOpenings() {
		cents += o.GetCents()
	}
	if info.GetTotal() != int64(e.Cents) || len(info.GetOpenings()) != swarm.Friends || cents != int64(e.Cents) {
		p.add("envelope %d with %d cents has %d, of which %d friends opened %d", e.ID, e.Cents, info.GetTotal(), len(info.GetOpenings()), cents)
	}
	return cents
}

// walletBooks asks the server for some wallets.
func (r *enveloping) walletBooks(ctx context.Context, wallets []swarm.Wallet, p *problems) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(apiConns)
	step := max(1, (len(wallets)+walletSample-1)/walletSample)
	for i := 0; i < len(wallets); i += step {
		w := wallets[i]
		r.res.Wallets++
		group.Go(func() error {
			user := r.first + im.UserID(w.Number)
			return retry(gctx, func() error {
				balance, err := r.balance(gctx, user)
				if err == nil && balance != int64(w.Balance) {
					p.add("user %d has %d cents and believes to have %d", user, balance, w.Balance)
				}
				return err
			})
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("reading the wallets: %w", err)
	}
	return nil
}

// audit stops the own server and adds up its store.
func (r *enveloping) audit(ctx context.Context) error {
	if !r.cfg.own() || r.cfg.NoAudit {
		r.res.Audit = auditSkipped
		return nil
	}
	r.say("stopping everything, and adding up the store")
	if err := errors.Join(r.swarm.Stop(), r.target.halt()); err != nil {
		return err
	}
	report, err := auditStore(ctx, r.target.Data)
	if err != nil {
		return fmt.Errorf("the audit: %w", err)
	}
	r.res.audited(report)
	return nil
}

// auditStore adds up a store that nobody has open.
func auditStore(ctx context.Context, dir string) (_ *audit.Report, err error) {
	st, err := pebble.Open(dir, pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return audit.Run(ctx, st)
}
