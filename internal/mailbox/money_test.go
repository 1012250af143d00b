package mailbox

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/store/pebble"
	"github.com/skein-im/skein/internal/wire"
)

// topUp gives a user money, and returns when it is there.
func topUp(t *testing.T, m *Mailbox, id im.UserID, cents im.Cents) {
	t.Helper()
	ref := fmt.Sprint("for ", id)
	if _, err := im.Do(testContext(t), m, im.Payment(im.TopUpOf(ref)), &im.TopUp{Reference: ref, User: id, Cents: cents}); err != nil {
		t.Fatal(err)
	}
	awaitBalance(t, m, id, cents)
}

// awaitBalance asks until a user has what is on its way.
func awaitBalance(t *testing.T, m *Mailbox, id im.UserID, cents im.Cents) *im.WalletInfo {
	t.Helper()
	for ctx := testContext(t); ; {
		w, err := im.Ask[*im.WalletInfo](ctx, m, im.User(id), &im.GetWallet{})
		if err != nil {
			t.Fatal(err)
		}
		if w.Balance == cents {
			return w
		}
	}
}

// 500 friends open one envelope of 500 shares at once: every one gets a share,
// and together they get all of it.
func TestFiveHundredOpenAtOnce(t *testing.T) {
	const n = 500
	m, stop := open(t, vfs.NewMem())
	defer stop()
	var to []im.UserID
	for id := im.UserID(2); id < n+2; id++ {
		to = append(to, id)
		provision(t, m, id, 1)
	}
	provision(t, m, 1, to...)
	topUp(t, m, 1, 100_000)
	inbox := attach(t, m, 501, 1, nil)
	created, err := im.Ask[*im.EnvelopeCreated](testContext(t), m, im.User(1), &im.CreateEnvelope{
		Key: im.Key{Name: "k", Asked: im.Millis(time.Now().UnixMilli())}, To: to, Total: 100_000, Shares: n, Rule: im.SplitRandom})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-inbox.entries; e.Money == nil || e.Money.Event != im.EnvelopeReceived || e.Peer != 1 {
		t.Fatalf("the receiver is shown %+v", e)
	}
	got := make([]im.Cents, n)
	var all sync.WaitGroup
	begin := time.Now()
	for i, id := range to {
		all.Go(func() {
			res, err := im.Ask[*im.Opened](testContext(t), m, im.Envelope(created.Envelope), &im.Open{User: id})
			if err != nil {
				t.Errorf("user %d: %v", id, err)
				return
			}
			got[i] = res.Cents
		})
	}
	all.Wait()
	t.Logf("answered in %v", time.Since(begin))
	sum := im.Cents(0)
	for i, c := range got {
		sum += c
		awaitBalance(t, m, to[i], c)
	}
	if sum != 100_000 || slices.Min(got) < 1 {
		t.Fatalf("%d cents were opened, the least share has %d", sum, slices.Min(got))
	}
	if e := <-inbox.entries; e.Money == nil || e.Money.Event != im.EnvelopeOpened || e.Money.Cents != got[499] {
		t.Fatalf("the opener is shown %+v", e)
	}
}

func TestReadStatement(t *testing.T) {
	m, stop := open(t, vfs.NewMem())
	defer stop()
	provision(t, m, 1, 2)
	topUp(t, m, 1, 100)
	now := im.Millis(time.Now().UnixMilli())
	for i := range 5 {
		key := im.Key{Name: fmt.Sprint(i), Asked: now}
		if _, err := im.Do(testContext(t), m, im.User(1), &im.Withdraw{Key: key, Cents: im.Cents(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	w := awaitBalance(t, m, 1, 85)
	var cents []im.Cents
	for from := w.LastSeq; from != 0; {
		page, next, err := m.ReadStatement(testContext(t), 1, from, 2)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d entries, %v", len(page), err)
		}
		for _, raw := range page {
			var e wire.Entry
			if err := e.Unmarshal(raw); err != nil {
				t.Fatal(err)
			}
			cents = append(cents, e.Money.Cents)
		}
		from = next
	}
	if !slices.Equal(cents, []im.Cents{-5, -4, -3, -2, -1, 100}) {
		t.Fatalf("the statement is %v", cents)
	}
	if _, _, err := m.ReadStatement(testContext(t), 1, 99, 2); im.KindOf(err) != im.NotFound {
		t.Fatalf("beyond the end: %v", err)
	}
}

// BenchmarkClaim wins envelopes one after the other, as fast as they come.
func BenchmarkClaim(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	st, err := pebble.Open(b.TempDir(), pebble.Options{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	cfg := DefaultConfig()
	cfg.Logger, cfg.Admission.Threshold = log, 0
	m := New(cfg, st)
	if err := m.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	now := im.Millis(time.Now().UnixMilli())
	do := func(to im.Addr, cmd im.Command) im.Result {
		for {
			res, err := im.Do(b.Context(), m, to, cmd)
			if kind := im.KindOf(err); kind != 0 && kind != im.NotFound && kind != im.Insufficient {
				b.Fatal(err)
			}
			if err == nil {
				return res
			}
		}
	}
	do(im.User(1), &im.Provision{})
	do(im.Payment(im.TopUpOf("x")), &im.TopUp{Reference: "x", User: 1, Cents: 100_000_000})
	key := im.Key{Name: "k", Asked: now}
	do(im.User(1), &im.CreateCampaign{Key: key, Total: 100_000_000, Count: im.MaxCampaign, Rate: im.MaxRate, Start: now, End: now + 3_600_000, Limit: 1, Lease: 60_000})
	campaign := im.Campaign(im.CampaignOf(1, key))
	b.ReportAllocs()
	b.ResetTimer()
	var wait sync.WaitGroup
	user := im.UserID(2)
	for left := b.N; left > 0; {
		leases := do(campaign, &im.RenewSets{Sets: []im.SetWant{{Set: 1, Want: uint32(min(left, 500))}}}).(*im.Leases).Leases
		for _, l := range leases {
			wait.Add(1)
			m.Submit(campaign, &im.Claim{Lease: l.ID, Set: 1, User: user}, im.CompletionFunc(func(_ im.Command, res im.Result, err error) {
				if err != nil || res.(*im.Claimed).Outcome != im.ClaimWon {
					b.Errorf("%+v, %v", res, err)
				}
				wait.Done()
			}))
			user++
		}
		left -= len(leases)
		wait.Wait()
	}
}
