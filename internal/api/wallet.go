package api

import (
	"context"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
)

const defaultStatementEntries = 50

// key is a client's key, which every command checks again.
func key(k *skeinv1.Key) im.Key { return im.Key{Name: k.GetName(), Asked: im.Millis(k.GetAskedMs())} }

// splitRule refuses rules that are not known here.
func splitRule(r skeinv1.SplitRule) (im.SplitRule, error) {
	switch r {
	case skeinv1.SplitRule_SPLIT_RULE_UNSPECIFIED:
		return im.SplitEqual, nil
	case skeinv1.SplitRule_SPLIT_RULE_RANDOM:
		return im.SplitRandom, nil
	}
	return 0, im.Errorf(im.Invalid, "unknown split rule %d", r)
}

func (a *API) wallet(ctx context.Context, user im.UserID) (*im.WalletInfo, error) {
	return im.Ask[*im.WalletInfo](ctx, a.mailbox, im.User(user), &im.GetWallet{})
}

func (a *API) getWallet(ctx context.Context, who *caller, _ *skeinv1.GetWalletRequest) (*skeinv1.GetWalletResponse, error) {
	w, err := a.wallet(ctx, who.user)
	if err != nil {
		return nil, err
	}
	return &skeinv1.GetWalletResponse{Balance: int64(w.Balance)}, nil
}

// statement follows the chain of a wallet's entries backwards. A page starts at
// the entry that the page before it named.
func (a *API) statement(ctx context.Context, who *caller, req *skeinv1.StatementRequest) (*skeinv1.StatementResponse, error) {
	next := im.Seq(req.Before)
	if next == 0 {
		w, err := a.wallet(ctx, who.user)
		if err != nil {
			return nil, err
		}
		next = w.LastSeq
	}
	res := &skeinv1.StatementResponse{}
	limit := pageSize(req.Limit, defaultStatementEntries, im.MaxStatementEntries)
	for next != 0 && len(res.Entries) < limit {
		e, err := a.walletEntry(ctx, who.user, next)
		if err != nil {
			return nil, err
		}
		res.Entries = append(res.Entries, e)
		next = im.Seq(e.Money.Prev)
	}
	res.Before = uint64(next)
	return res, nil
}

// walletEntry reads one entry of a statement.
func (a *API) walletEntry(ctx context.Context, user im.UserID, seq im.Seq) (*skeinv1.Entry, error) {
	raw, err := a.mailbox.ReadTimeline(ctx, user, seq-1, 1)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, im.Errorf(im.NotFound, "there is no entry %d", seq)
	}
	e := new(skeinv1.Entry)
	if err := proto.Unmarshal(raw[0], e); err != nil {
		return nil, im.Errorf(im.Internal, "entry %d cannot be read: %w", seq, err)
	}
	if e.GetMoney().GetCents() == 0 {
		return nil, im.Errorf(im.Invalid, "entry %d is not part of the statement", seq)
	}
	return e, nil
}

func (a *API) withdraw(ctx context.Context, who *caller, req *skeinv1.WithdrawRequest) (*skeinv1.WithdrawResponse, error) {
	w, err := im.Ask[*im.Withdrawal](ctx, a.mailbox, im.User(who.user), &im.Withdraw{
		Key: key(req.Key), Cents: im.Cents(req.Cents), Text: req.Text,
	})
	if err != nil {
		return nil, err
	}
	return &skeinv1.WithdrawResponse{Payment: uint64(w.Payment), Seq: uint64(w.Seq)}, nil
}
