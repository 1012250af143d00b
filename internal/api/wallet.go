package api

import (
	"context"

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

// statement pages backwards. A page starts at the entry that the one before it
// named.
func (a *API) statement(ctx context.Context, who *caller, req *skeinv1.StatementRequest) (*skeinv1.StatementResponse, error) {
	reader, ok := a.mailbox.(im.StatementReader)
	if !ok {
		return nil, im.Errorf(im.Unimplemented, "statements are not served here")
	}
	from := im.Seq(req.Before)
	if from == 0 {
		w, err := a.wallet(ctx, who.user)
		if err != nil || w.LastSeq == 0 {
			return &skeinv1.StatementResponse{}, err
		}
		from = w.LastSeq
	}
	limit := pageSize(req.Limit, defaultStatementEntries, im.MaxStatementEntries)
	raw, next, err := reader.ReadStatement(ctx, who.user, from, limit)
	if err != nil {
		return nil, err
	}
	entries, _, err := decodePage(raw, limit)
	return &skeinv1.StatementResponse{Entries: entries, Before: uint64(next)}, err
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
