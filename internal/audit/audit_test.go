package audit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storev1 "github.com/skein-im/skein/gen/skein/store/v1"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/mailbox"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/memstore"
)

// site is a mailbox on a store in memory.
type site struct {
	t  *testing.T
	st *memstore.Store
	m  *mailbox.Mailbox
	// retain is how much of users' logs is kept.
	retain entity.Retention
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, st: memstore.New(time.Now)}
	s.start()
	return s
}

func (s *site) start() {
	s.t.Helper()
	cfg := mailbox.DefaultConfig()
	cfg.Logger, cfg.Admission.Threshold = slog.New(slog.DiscardHandler), 0
	cfg.Core.Retain = s.retain
	s.m = mailbox.New(cfg, s.st)
	if err := s.m.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// must submits a command until what it is about has arrived.
func (s *site) must(to im.Addr, cmd im.Command) im.Result {
	s.t.Helper()
	for ctx := patience.Context(s.t); ; {
		res, err := im.Do(ctx, s.m, to, cmd)
		switch kind := im.KindOf(err); {
		case err == nil:
			return res
		case kind != im.NotFound && kind != im.Insufficient:
			s.t.Fatalf("%v: %T: %v", to, cmd, err)
		}
	}
}

// fill makes users 1 to 3 friends who have done all there is to do, some of it
// unfinished. It brings 6,000 cents in and pays 40 out.
func (s *site) fill() {
	s.t.Helper()
	now := im.Millis(time.Now().UnixMilli())
	key := func(name string) im.Key { return im.Key{Name: name, Asked: now} }
	for id := im.UserID(1); id <= 3; id++ {
		s.must(im.User(id), &im.Provision{Friends: []im.UserID{1 + id%3, 1 + (id+1)%3}})
		ref := string(rune('a' + id))
		s.must(im.Payment(im.TopUpOf(ref)), &im.TopUp{Reference: ref, User: id, Cents: 2000})
	}
	for _, name := range []string{"opened", "half", "new"} {
		s.must(im.User(1), &im.CreateEnvelope{Key: key(name), To: []im.UserID{2, 3}, Total: 101, Shares: 2, Rule: im.SplitRandom})
	}
	s.must(im.Envelope(im.EnvelopeOf(1, key("opened"))), &im.Open{User: 2})
	s.must(im.Envelope(im.EnvelopeOf(1, key("opened"))), &im.Open{User: 3})
	s.must(im.Envelope(im.EnvelopeOf(1, key("half"))), &im.Open{User: 3})
	s.must(im.User(2), &im.CreateCampaign{Key: key("shake"), Total: 500, Count: 50, Rate: 1000, Start: now - 1000, End: now + 60_000, Limit: 3, Lease: 5000})
	campaign := im.Campaign(im.CampaignOf(2, key("shake")))
	for _, l := range s.must(campaign, &im.RenewSets{Sets: []im.SetWant{{Set: 1, Want: 10}}}).(*im.Leases).Leases[:5] {
		s.must(campaign, &im.Claim{Lease: l.ID, Set: 1, User: 1 + im.UserID(l.ID%3)})
	}
	for _, name := range []string{"paid", "held"} {
		s.must(im.User(3), &im.Withdraw{Key: key(name), Cents: 40})
	}
	s.must(im.Payment(im.WithdrawalOf(3, key("paid"))), &im.Settle{Paid: true})
}

func (s *site) audit() *Report {
	s.t.Helper()
	r, err := Run(s.t.Context(), s.st)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestEverythingAddsUp(t *testing.T) {
	s := newSite(t)
	s.fill()
	s.m.Stop()
	r := s.audit()
	if !r.OK() || r.In != 6000 || r.Out != 40 || r.Held() != 5960 || r.Envelopes < 101 || r.Campaigns != 450 {
		t.Fatalf("%+v", r)
	}
	// Again, from the snapshots of another life.
	s.start()
	s.must(im.User(1), &im.GetWallet{})
	s.m.Stop()
	if r := s.audit(); !r.OK() || r.In != 6000 {
		t.Fatalf("%+v", r)
	}
}

func TestEmptyStore(t *testing.T) {
	if r := (&site{t: t, st: memstore.New(time.Now)}).audit(); !r.OK() || r.Entities != 0 {
		t.Fatalf("%+v", r)
	}
}

// edit changes a record behind the mailbox's back.
func (s *site) edit(a im.Addr, key string, m proto.Message, change func()) {
	s.t.Helper()
	e, err := s.st.Load(s.t.Context(), a, func([]im.Record) im.Seq { return 1 << 60 })
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range e.Records {
		if r.Key != key {
			continue
		}
		if err := proto.Unmarshal(r.Value, m); err != nil {
			s.t.Fatal(err)
		}
		change()
		value, err := proto.Marshal(m)
		if err != nil {
			s.t.Fatal(err)
		}
		s.commit(store.Change{Addr: a, Put: []im.Record{{Key: key, Value: value}}})
		return
	}
	s.t.Fatalf("%v has no record %q", a, key)
}

func (s *site) commit(c store.Change) {
	s.t.Helper()
	epochs, err := s.st.Acquire(s.t.Context(), "thief", []im.Slot{c.Addr.Slot()})
	if err != nil {
		s.t.Fatal(err)
	}
	c.Epoch = epochs[0]
	if err := s.st.Commit(s.t.Context(), &store.Batch{Changes: []store.Change{c}}); err != nil {
		s.t.Fatal(err)
	}
}

// forge appends a money entry to the log of user 2.
func (s *site) forge(cents int64, change func(*storev1.Event)) {
	s.t.Helper()
	w := s.wallet(2)
	log, err := s.st.ReadLog(s.t.Context(), im.User(2), 1, 10_000, 1<<30)
	if err != nil {
		s.t.Fatal(err)
	}
	next := log[len(log)-1].Seq + 1
	ev := &storev1.Event{
		Entry: &skeinv1.Entry{Seq: uint64(next), Kind: skeinv1.EntryKind_ENTRY_KIND_MONEY,
			Money: &skeinv1.Money{Event: skeinv1.MoneyEvent_MONEY_EVENT_TOPPED_UP, Cents: cents, Balance: int64(w.Balance) + cents, Prev: uint64(w.LastSeq)}},
		From: &storev1.Addr{Kind: uint32(im.KindPayment), Id: 99}, LinkIn: 1,
	}
	change(ev)
	value, err := proto.Marshal(ev)
	if err != nil {
		s.t.Fatal(err)
	}
	s.commit(store.Change{Addr: im.User(2), First: next, Append: [][]byte{value}})
}

// wallet is a user's, as the store has it.
func (s *site) wallet(id im.UserID) *im.WalletInfo {
	s.t.Helper()
	s.start()
	defer s.m.Stop()
	return s.must(im.User(id), &im.GetWallet{}).(*im.WalletInfo)
}

// Every kind of theft is found, and says where.
func TestPlantedErrors(t *testing.T) {
	for what, test := range map[string]struct {
		plant func(s *site)
		// where and why are found among the problems.
		where im.Addr
		why   string
	}{
		"a balance in a snapshot": {func(s *site) {
			var h storev1.UserHead
			s.edit(im.User(1), "h", &h, func() { h.Balance++ })
		}, im.User(1), "its log adds up to"},
		"money from nowhere": {func(s *site) { s.forge(5, func(*storev1.Event) {}) }, im.User(2), "has taken 1 messages of payment/99, which has sent 0"},
		"money without a sender": {func(s *site) {
			s.forge(5, func(ev *storev1.Event) { ev.From, ev.LinkIn = nil, 0 })
		}, im.User(2), "entry"},
		"a wrong balance in an entry": {func(s *site) {
			s.forge(5, func(ev *storev1.Event) { ev.Entry.Money.Balance++ })
		}, im.User(2), "says 5 cents"},
		"a broken chain": {func(s *site) {
			s.forge(5, func(ev *storev1.Event) { ev.Entry.Money.Prev-- })
		}, im.User(2), "after entry"},
		"an overdraft": {func(s *site) { s.forge(-1_000_000, func(*storev1.Event) {}) }, im.User(2), "-99"},
		"a message that was not sent": {func(s *site) {
			s.forge(5, func(ev *storev1.Event) {
				ev.From = &storev1.Addr{Kind: uint32(im.KindPayment), Id: uint64(im.TopUpOf("c"))}
				ev.LinkIn = 2
			})
		}, im.User(2), "has taken 2 messages"},
		"more than was sent": {func(s *site) {
			value, err := proto.Marshal(&storev1.PurseEvent{
				PaymentMade: &storev1.PaymentMade{Terms: &storev1.PaymentTerms{Reference: "x", User: 2, Cents: 4}, TopUp: true},
				Finished:    &storev1.PurseFinished{},
				Outs:        []*storev1.LinkOut{{To: &storev1.Addr{Kind: uint32(im.KindUser), Id: 2}, Link: 1, Transfer: &storev1.Transfer{Cents: 4}}},
			})
			if err != nil {
				s.t.Fatal(err)
			}
			s.commit(store.Change{Addr: im.Payment(99), First: 1, Append: [][]byte{value}})
			s.forge(5, func(*storev1.Event) {})
		}, im.User(2), "has taken 5 cents with message 1 of payment/99, which has sent 4"},
		"a link that has stopped": {func(s *site) {
			var page storev1.PursePage
			s.edit(im.Payment(im.TopUpOf("b")), "p0000", &page, func() {
				page.Links[0].Generations = &storev1.LinkGenerations{Stopped: true}
			})
		}, im.Payment(im.TopUpOf("b")), "its link with user/1 has stopped"},
		"an ack of what was not taken": {func(s *site) {
			var page storev1.PursePage
			s.edit(im.Payment(im.TopUpOf("b")), "p0000", &page, func() {
				page.Links[0].Out, page.Links[0].Acked, page.Links[0].Outstanding = 2, 2, nil
			})
		}, im.Payment(im.TopUpOf("b")), "believes that user/1 has taken 2 messages, which has taken 1"},
		"damage": {func(s *site) {
			s.commit(store.Change{Addr: im.User(1), Put: []im.Record{{Key: "h", Value: []byte{0xff}}}})
		}, im.User(1), "cannot be loaded"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t)
			s.fill()
			s.m.Stop()
			// Everything is to have arrived.
			for s.audit().InFlight != 0 {
				s.start()
				s.must(im.User(1), &im.GetWallet{})
				s.m.Stop()
			}
			test.plant(s)
			r := s.audit()
			for _, p := range r.Problems {
				if p.Entity == test.where && strings.Contains(p.Detail, test.why) {
					return
				}
			}
			t.Fatalf("found %d problems: %v", r.Found, r.Problems)
		})
	}
}

// broken is a store that cannot be read.
type broken struct{ *memstore.Store }

func (broken) ReadLog(context.Context, im.Addr, im.Seq, int, int) ([]store.Entry, error) {
	return nil, errors.New("no")
}

func TestUnreadableStore(t *testing.T) {
	s := newSite(t)
	s.fill()
	s.m.Stop()
	if r, err := Run(t.Context(), broken{s.st}); im.KindOf(err) != im.Unavailable {
		t.Fatalf("%+v, %v", r, err)
	}
}
