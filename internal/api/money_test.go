package api

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"connectrpc.com/connect"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	rpc "github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/memstore"
)

// bank is a server with a real mailbox and users 1 to 4, of whom all but 4 are
// friends.
type bank struct {
	t      *testing.T
	wallet []rpc.WalletServiceClient
	env    []rpc.EnvelopeServiceClient
	shake  []rpc.CampaignServiceClient
	op     rpc.TreasuryServiceClient
}

func newBank(t *testing.T, change func(*Config)) *bank {
	cfg := mailbox.DefaultConfig()
	cfg.Shards, cfg.Logger = 1, slog.New(slog.DiscardHandler)
	m := mailbox.New(cfg, memstore.New(time.Now))
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	hasher, err := account.NewHasher(account.DefaultHasherConfig())
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.NewService(account.Config{Mailbox: m, Hasher: hasher, Rand: rand.Reader, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) {
		c.Mailbox, c.Accounts = m, accounts
		if change != nil {
			change(c)
		}
	})
	srv := f.server(t, nil)
	b := &bank{t: t, op: rpc.NewTreasuryServiceClient(srv.Client(), srv.URL, bearing(operatorToken))}
	secret := account.Secret([]byte("a secret of 20 bytes"))
	friends := map[im.UserID][]im.UserID{1: {2, 3}, 2: {1, 3}, 3: {1, 2}, 4: nil}
	for user := range im.UserID(4) {
		user++
		if _, err := im.Do(t.Context(), m, im.User(user), &im.Provision{Friends: friends[user], TokenHashes: [][32]byte{secret.Hash()}}); err != nil {
			t.Fatal(err)
		}
		with := bearing(account.Token(user, 1, secret))
		b.wallet = append(b.wallet, rpc.NewWalletServiceClient(srv.Client(), srv.URL, with))
		b.env = append(b.env, rpc.NewEnvelopeServiceClient(srv.Client(), srv.URL, with))
		b.shake = append(b.shake, rpc.NewCampaignServiceClient(srv.Client(), srv.URL, with))
	}
	return b
}

func testKey(name string) *skeinv1.Key {
	return &skeinv1.Key{Name: name, AskedMs: time.Now().UnixMilli()}
}

func (b *bank) topUp(user uint64, cents int64, reference string) (*skeinv1.PaymentResponse, error) {
	res, err := b.op.TopUp(b.t.Context(), connect.NewRequest(&skeinv1.TopUpRequest{User: user, Cents: cents, Reference: reference}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// balance waits until a wallet holds what it should: money arrives right after
// the answer that says so.
func (b *bank) balance(user int, want int64) {
	b.t.Helper()
	var got int64
	for deadline := time.Now().Add(patience.Limit); time.Now().Before(deadline); {
		res, err := b.wallet[user-1].Get(b.t.Context(), connect.NewRequest(&skeinv1.GetWalletRequest{}))
		if err != nil {
			b.t.Fatal(err)
		}
		if got = res.Msg.Balance; got == want {
			return
		}
	}
	b.t.Fatalf("user %d has %d cents, not %d", user, got, want)
}

func TestTopUpStatementWithdraw(t *testing.T) {
	b := newBank(t, nil)
	for range 2 {
		p, err := b.topUp(1, 500, "ref-1")
		if err != nil || p.State != skeinv1.PaymentState_PAYMENT_STATE_TOPPED_UP {
			t.Fatalf("top-up: %v %v", p, err)
		}
	}
	b.balance(1, 500)
	for i, cents := range []int64{1, 2, 3} {
		if _, err := b.topUp(1, cents, "more-"+string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	b.balance(1, 506)
	key := testKey("w")
	var payment uint64
	for range 2 {
		w, err := b.wallet[0].Withdraw(t.Context(), connect.NewRequest(&skeinv1.WithdrawRequest{Key: key, Cents: 100, Text: "to my bank"}))
		if err != nil || payment != 0 && w.Msg.Payment != payment {
			t.Fatalf("withdraw: %v %v", w, err)
		}
		payment = w.Msg.Payment
	}
	b.balance(1, 406)
	// Pages of two, newest first.
	var cents []int64
	before := uint64(0)
	for {
		page, err := b.wallet[0].Statement(t.Context(), connect.NewRequest(&skeinv1.StatementRequest{Before: before, Limit: 2}))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Msg.Entries {
			cents = append(cents, e.Money.Cents)
		}
		if before = page.Msg.Before; before == 0 {
			break
		}
	}
	if len(cents) != 5 || cents[0] != -100 || cents[4] != 500 {
		t.Errorf("the statement says %v", cents)
	}
	settled, err := b.op.Settle(t.Context(), connect.NewRequest(&skeinv1.SettleRequest{Payment: payment}))
	if err != nil || settled.Msg.State != skeinv1.PaymentState_PAYMENT_STATE_RETURNED || settled.Msg.Cents != 100 {
		t.Fatalf("settle: %v %v", settled, err)
	}
	b.balance(1, 506)
}

func TestEnvelopes(t *testing.T) {
	b := newBank(t, nil)
	if _, err := b.topUp(1, 1000, "start"); err != nil {
		t.Fatal(err)
	}
	b.balance(1, 1000)
	req := &skeinv1.SendEnvelopeRequest{
		Key: testKey("e"), To: []uint64{2, 3}, Total: 901, Shares: 2, Rule: skeinv1.SplitRule_SPLIT_RULE_RANDOM, Greeting: "good luck",
	}
	var envelope uint64
	for range 2 {
		res, err := b.env[0].Send(t.Context(), connect.NewRequest(req))
		if err != nil || envelope != 0 && res.Msg.Envelope != envelope {
			t.Fatalf("send: %v %v", res, err)
		}
		envelope = res.Msg.Envelope
	}
	b.balance(1, 99)
	sum := int64(0)
	for user := 2; user <= 3; user++ {
		open := func() int64 {
			for ctx := patience.Context(t); ; {
				res, err := b.env[user-1].Open(ctx, connect.NewRequest(&skeinv1.OpenEnvelopeRequest{Envelope: envelope}))
				if err == nil {
					return res.Msg.Cents
				}
				// The money may not have reached the envelope yet.
				if connect.CodeOf(err) != connect.CodeNotFound {
					t.Fatal(err)
				}
			}
		}
		cents := open()
		if again := open(); again != cents || cents < 1 {
			t.Errorf("user %d opens %d cents, then %d", user, cents, again)
		}
		sum += cents
		b.balance(user, cents)
	}
	if sum != 901 {
		t.Errorf("901 cents became %d", sum)
	}
	_, err := b.env[3].Open(t.Context(), connect.NewRequest(&skeinv1.OpenEnvelopeRequest{Envelope: envelope}))
	wantError(t, "a stranger opens it", err, connect.CodePermissionDenied, im.PermissionDenied)
	info, err := b.env[1].Get(t.Context(), connect.NewRequest(&skeinv1.GetEnvelopeRequest{Envelope: envelope}))
	if err != nil || !info.Msg.Finished || len(info.Msg.Openings) != 2 || info.Msg.Greeting != "good luck" {
		t.Errorf("what became of it: %v %v", info, err)
	}
}

func TestMoneyIsChecked(t *testing.T) {
	b := newBank(t, nil)
	if _, err := b.topUp(1, 100, "start"); err != nil {
		t.Fatal(err)
	}
	b.balance(1, 100)
	for name, c := range map[string]struct {
		change func(*skeinv1.SendEnvelopeRequest)
		code   connect.Code
		kind   im.ErrorKind
	}{
		"overdraft":      {func(r *skeinv1.SendEnvelopeRequest) { r.Total = 101 }, connect.CodeFailedPrecondition, im.Insufficient},
		"zero":           {func(r *skeinv1.SendEnvelopeRequest) { r.Total = 0 }, connect.CodeInvalidArgument, im.Invalid},
		"negative":       {func(r *skeinv1.SendEnvelopeRequest) { r.Total = -5 }, connect.CodeInvalidArgument, im.Invalid},
		"overflow":       {func(r *skeinv1.SendEnvelopeRequest) { r.Total = 1<<63 - 1 }, connect.CodeInvalidArgument, im.Invalid},
		"no shares":      {func(r *skeinv1.SendEnvelopeRequest) { r.Shares = 0 }, connect.CodeInvalidArgument, im.Invalid},
		"less than 1":    {func(r *skeinv1.SendEnvelopeRequest) { r.Shares = 101 }, connect.CodeInvalidArgument, im.Invalid},
		"too many":       {func(r *skeinv1.SendEnvelopeRequest) { r.Shares = 1 << 20 }, connect.CodeInvalidArgument, im.Invalid},
		"nobody":         {func(r *skeinv1.SendEnvelopeRequest) { r.To = nil }, connect.CodeInvalidArgument, im.Invalid},
		"oneself":        {func(r *skeinv1.SendEnvelopeRequest) { r.To = []uint64{1} }, connect.CodeInvalidArgument, im.Invalid},
		"a stranger":     {func(r *skeinv1.SendEnvelopeRequest) { r.To = []uint64{4} }, connect.CodePermissionDenied, im.NotContact},
		"too many names": {func(r *skeinv1.SendEnvelopeRequest) { r.To = make([]uint64, im.MaxReceivers+1) }, connect.CodeResourceExhausted, im.TooLarge},
		"no key":         {func(r *skeinv1.SendEnvelopeRequest) { r.Key = nil }, connect.CodeInvalidArgument, im.Invalid},
		"an old key":     {func(r *skeinv1.SendEnvelopeRequest) { r.Key.AskedMs -= int64(im.KeyAge) + 1000 }, connect.CodeOutOfRange, im.Stale},
		"a rule":         {func(r *skeinv1.SendEnvelopeRequest) { r.Rule = 77 }, connect.CodeInvalidArgument, im.Invalid},
	} {
		req := &skeinv1.SendEnvelopeRequest{Key: testKey(name), To: []uint64{2}, Total: 10, Shares: 1}
		c.change(req)
		_, err := b.env[0].Send(t.Context(), connect.NewRequest(req))
		wantError(t, name, err, c.code, c.kind)
	}
	b.balance(1, 100)
	_, err := b.env[0].Open(t.Context(), connect.NewRequest(&skeinv1.OpenEnvelopeRequest{Envelope: 77}))
	wantError(t, "an envelope that is not there", err, connect.CodeNotFound, im.NotFound)
	_, err = b.topUp(99, 5, "nobody")
	wantError(t, "a top-up of nobody", err, connect.CodeNotFound, im.NotFound)
	_, err = b.topUp(2, 100, "start")
	wantError(t, "another top-up of the same name", err, connect.CodeAlreadyExists, im.Conflict)
	_, err = b.wallet[0].Statement(t.Context(), connect.NewRequest(&skeinv1.StatementRequest{Before: 99}))
	wantError(t, "a statement from nowhere", err, connect.CodeNotFound, im.NotFound)
}

func TestCampaigns(t *testing.T) {
	b := newBank(t, nil)
	if _, err := b.topUp(1, 1000, "start"); err != nil {
		t.Fatal(err)
	}
	b.balance(1, 1000)
	now := time.Now().UnixMilli()
	req := &skeinv1.CreateCampaignRequest{
		Sponsor: 1, Key: testKey("c"), Total: 900, Count: 9, Rate: 100, StartMs: now, EndMs: now + 60_000, Limit: 1, Title: "new year",
	}
	made, err := b.op.CreateCampaign(t.Context(), connect.NewRequest(req))
	if err != nil {
		t.Fatal(err)
	}
	b.balance(1, 100)
	for ctx := patience.Context(t); ; {
		info, err := b.op.GetCampaign(ctx, connect.NewRequest(&skeinv1.GetCampaignRequest{Campaign: made.Msg.Campaign}))
		if connect.CodeOf(err) == connect.CodeNotFound {
			continue
		}
		if err != nil || info.Msg.Terms.Total != 900 || info.Msg.Terms.Title != "new year" || info.Msg.Terms.LeaseMs != int64(defaultLease) {
			t.Fatalf("the campaign: %v %v", info, err)
		}
		break
	}
	req.Key, req.Total = testKey("d"), 901
	_, err = b.op.CreateCampaign(t.Context(), connect.NewRequest(req))
	wantError(t, "a campaign beyond the sponsor's means", err, connect.CodeFailedPrecondition, im.Insufficient)
	_, err = b.shake[0].Shake(t.Context(), connect.NewRequest(&skeinv1.ShakeRequest{Campaign: 5}))
	wantError(t, "a shake where there are none", err, connect.CodeUnimplemented, im.Unimplemented)
}
